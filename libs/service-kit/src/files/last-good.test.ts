import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { LastGood } from './last-good.ts';

const schema = z.object({ limit: z.number() });
const warnings: string[] = [];
const logger = { warn: (_facts: unknown, line: string) => void warnings.push(line) } as never;

describe('LastGood', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'last-good-'));
    warnings.length = 0;
  });
  afterEach(() => rm(dir, { recursive: true }));
  const open = (path: string) => LastGood.open({ path, schema, logger });

  it('outlives its process, in a directory that need not be there', async () => {
    const path = join(dir, 'deep', 'answer.json');
    const first = await open(path);
    expect(first.value).toBeUndefined();
    expect(await first.keep({ limit: 3 })).toBe(true);
    expect(await first.keep({ limit: 3 })).toBe(false);
    expect((await open(path)).value).toEqual({ limit: 3 });
    expect(warnings).toEqual([]);
  });

  it('is nothing where its file is damaged, and writes a new one', async () => {
    const path = join(dir, 'answer.json');
    await writeFile(path, '{"limit":"three"}');
    const kept = await open(path);
    expect(kept.value).toBeUndefined();
    expect(warnings).toHaveLength(1);
    await kept.keep({ limit: 4 });
    expect(await readFile(path, 'utf8')).toBe('{"limit":4}');
  });

  it('stays in memory where the disk does not take it', async () => {
    await writeFile(join(dir, 'file'), '');
    const kept = await open(join(dir, 'other.json'));
    const lost = await LastGood.open({ path: join(dir, 'file', 'answer.json'), schema, logger });
    expect(await lost.keep({ limit: 5 })).toBe(true);
    expect(lost.value).toEqual({ limit: 5 });
    expect(warnings.at(-1)).toContain('cannot be kept');
    expect(kept.value).toBeUndefined();
  });
});
