import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { OutputPathError } from './output-file.ts';
import { OutputRoots } from './output-roots.ts';

describe('OutputRoots', () => {
  let dir: string;
  let allowed: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'd7y-roots-'));
    allowed = join(dir, 'allowed');
    await mkdir(join(allowed, 'deep'), { recursive: true });
    await mkdir(join(dir, 'allowed-not'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('lets files be written below a root', async () => {
    const roots = new OutputRoots(['/nowhere', allowed]);
    expect(await roots.resolve(join(allowed, 'file'))).toBe(join(allowed, 'file'));
    expect(await roots.resolve(join(allowed, 'deep', 'file'))).toBe(join(allowed, 'deep', 'file'));
  });

  it('weakness 2: writes nowhere unless it is told where', async () => {
    await expect(new OutputRoots([]).resolve('/etc/cron.d/job')).rejects.toThrow(/download\.outputRoots/);
  });

  it('is not led out of a root by dots, names that begin alike, or links', async () => {
    await symlink(dir, join(allowed, 'way-out'));
    const roots = new OutputRoots([allowed]);
    for (const path of [
      join(allowed, '..', 'file'),
      `${allowed}/deep/../../file`,
      join(dir, 'allowed-not', 'file'),
      join(allowed, 'way-out', 'file'),
      allowed,
      'relative',
    ]) {
      await expect(roots.resolve(path)).rejects.toThrow(OutputPathError);
    }
  });
});
