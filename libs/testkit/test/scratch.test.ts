import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { freePorts } from '../src/scratch/free-ports.ts';
import { pseudoRandomBytes } from '../src/scratch/pseudo-random.ts';
import { tempDir } from '../src/scratch/temp-dir.ts';

describe('tempDir', () => {
  it('takes everything in it away', async () => {
    let path: string;
    {
      await using scratch = await tempDir();
      path = scratch.path;
      await mkdir(join(path, 'a', 'b'), { recursive: true });
      await writeFile(join(path, 'a', 'b', 'c'), 'c');
    }
    expect(existsSync(path)).toBe(false);
  });
});

describe('freePorts', () => {
  it('gives different ports on which a server can listen', async () => {
    const ports = [...(await freePorts(5)), ...(await freePorts(5))];
    expect(new Set(ports).size).toBe(10);
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(ports[0], '127.0.0.1', resolve);
    });
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('pseudoRandomBytes', () => {
  it('gives a prefix of the same bytes for a shorter length', () => {
    const long = pseudoRandomBytes('seed', 2 ** 20 + 5);
    expect(pseudoRandomBytes('seed', 1000).equals(long.subarray(0, 1000))).toBe(true);
    expect(pseudoRandomBytes('other', 1000).equals(long.subarray(0, 1000))).toBe(false);
    expect(pseudoRandomBytes('seed', 0)).toHaveLength(0);
  });
});
