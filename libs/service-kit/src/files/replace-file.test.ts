import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { replaceFile } from './replace-file.ts';

describe('replaceFile', () => {
  let dir: string;
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'd7y-replace-'))));
  afterEach(() => rm(dir, { recursive: true }));

  it('replaces what is there, with the mode asked for, and leaves nothing else', async () => {
    const path = join(dir, 'file');
    await writeFile(path, 'old and longer');
    await replaceFile(path, 'new', { mode: 0o600 });
    expect(await readFile(path, 'utf8')).toBe('new');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['file']);
  });

  it('leaves everything as it was when it cannot', async () => {
    await expect(replaceFile(join(dir, 'missing', 'file'), 'new')).rejects.toMatchObject({ code: 'ENOENT' });
    await writeFile(join(dir, 'file'), 'old');
    await expect(replaceFile(join(dir, 'file', 'below'), 'new')).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(await readdir(dir)).toEqual(['file']);
  });
});
