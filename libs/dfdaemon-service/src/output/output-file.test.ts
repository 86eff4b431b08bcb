import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { OutputFile } from './output-file.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'd7y-output-'));
});
afterEach(() => rm(dir, { recursive: true }));

const CONTENT = Buffer.from('content');
const SHA256 = `sha256:${createHash('sha256').update(CONTENT).digest('hex')}`;

async function put(options: { overwrite?: boolean; digest?: string } = {}): Promise<void> {
  const { overwrite = false, digest } = options;
  await using file = await OutputFile.create({ path: join(dir, 'out'), overwrite, digest });
  await file.write(CONTENT.subarray(0, 3));
  await file.write(CONTENT.subarray(3));
  await file.commit();
}

describe('OutputFile', () => {
  it('appears whole, and leaves nothing else behind', async () => {
    await put({ digest: SHA256 });
    expect(await readFile(join(dir, 'out'))).toEqual(CONTENT);
    expect(await readdir(dir)).toEqual(['out']);
  });

  it('does not replace what is there unless allowed to', async () => {
    await writeFile(join(dir, 'out'), 'old');
    await expect(put()).rejects.toThrow(/exists/);
    expect(await readFile(join(dir, 'out'), 'utf8')).toBe('old');
    await put({ overwrite: true });
    expect(await readFile(join(dir, 'out'))).toEqual(CONTENT);
  });

  it('does not replace what somebody puts there meanwhile', async () => {
    await using file = await OutputFile.create({ path: join(dir, 'out'), overwrite: false, digest: undefined });
    await writeFile(join(dir, 'out'), 'theirs');
    await expect(file.commit()).rejects.toThrow(/exists/);
    expect(await readFile(join(dir, 'out'), 'utf8')).toBe('theirs');
  });

  it('weakness 20: never appears with a wrong digest, also when it may overwrite', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    await expect(put({ digest, overwrite: true })).rejects.toMatchObject({ code: 'TASK_DIGEST_MISMATCH' });
    expect(await readdir(dir)).toEqual([]);
  });

  it.each([
    'md5:9a0364b9e99bb480dd25e1f0284c8555',
    'sha1:040f06fd774092478d450774f5ba30c5da78acc8',
    `sha512:${createHash('sha512').update(CONTENT).digest('hex')}`,
    'crc32:4274335913',
  ])('weakness 20: checks %s', async (digest) => {
    await put({ digest });
    expect(await readdir(dir)).toEqual(['out']);
  });

  it('refuses a digest it cannot compute, a directory, and a relative path', async () => {
    await expect(put({ digest: `blake3:${'0'.repeat(64)}` })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const create = (path: string) => OutputFile.create({ path, overwrite: true, digest: undefined });
    await expect(create(dir)).rejects.toThrow(/directory/);
    await expect(create('out')).rejects.toThrow(/absolute/);
    await expect(create(join(dir, 'missing', 'out'))).rejects.toThrow(/ENOENT/);
  });
});
