import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { StateStore } from './state-store.ts';

const logger = { warn: () => undefined, info: () => undefined };

describe('StateStore', () => {
  let dir: string;
  beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'd7y-state-'))));
  afterEach(() => rm(dir, { recursive: true }));
  const open = (current: () => Iterable<string> = () => [], minJournalBytes = 2 ** 20) =>
    StateStore.open({ dir, logger, minJournalBytes, current: () => [...current()].map((text) => Buffer.from(text)) });
  const found = async () => {
    const { store, records } = await open();
    await using _ = store;
    return records.map(String);
  };
  const files = async () => (await readdir(dir)).sort();

  it('finds what was appended, in order', async () => {
    {
      const { store, records } = await open();
      expect(records).toEqual([]);
      await using _ = store;
      await store.flush();
      store.append(Buffer.from('one'));
      store.append(Buffer.from('two'));
      await store.flush();
    }
    expect(await found()).toEqual(['one', 'two']);
  });

  it('writes a snapshot of what is known, and keeps no older files', async () => {
    const known: string[] = [];
    const { store } = await open(() => known, 100);
    await using _ = store;
    for (let number = 0; number < 50; number++) {
      known.push(`known ${number}`);
      store.append(Buffer.from(`known ${number}`));
      await store.flush();
    }
    expect((await files()).length).toBeLessThanOrEqual(2);
    const bytes = await Promise.all((await files()).map(async (name) => (await stat(join(dir, name))).size));
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(4_000);
    expect(new Set(await found())).toEqual(new Set(known));
  });

  it('takes a journal up to where it was cut off', async () => {
    {
      const { store } = await open();
      await using _ = store;
      await store.flush();
      for (const text of ['one', 'two', 'three']) store.append(Buffer.from(text));
    }
    const [journal = ''] = (await files()).filter((name) => name.endsWith('.journal'));
    await truncate(join(dir, journal), (await stat(join(dir, journal))).size - 2);
    expect(await found()).toEqual(['one', 'two']);
  });

  it('does not believe a record whose bytes have changed, nor what follows it', async () => {
    {
      const { store } = await open();
      await using _ = store;
      await store.flush();
      for (const text of ['one', 'two', 'three']) store.append(Buffer.from(text));
    }
    const [journal = ''] = (await files()).filter((name) => name.endsWith('.journal'));
    const bytes = await readFile(join(dir, journal));
    bytes.write('T', bytes.indexOf('two'));
    await writeFile(join(dir, journal), bytes);
    expect(await found()).toEqual(['one']);
  });

  it('takes the snapshot before when the newest was never finished', async () => {
    {
      const { store } = await open(() => ['known']);
      await using _ = store;
      await store.flush();
      store.append(Buffer.from('later'));
    }
    await writeFile(join(dir, '2.snapshot.part'), 'half');
    await writeFile(join(dir, '2.journal'), await readFile(join(dir, '1.journal')));
    expect(await found()).toEqual(['known', 'later', 'later']);
    await writeFile(join(dir, '9.snapshot'), 'of another version');
    expect((await found()).slice(0, 1)).toEqual(['known']);
  });

  it('goes on where the disk fails', async () => {
    const { store } = await open();
    await rm(dir, { recursive: true });
    store.append(Buffer.from('one'));
    await store.flush();
    await store[Symbol.asyncDispose]();
    await mkdir(dir);
    expect(await found()).toEqual([]);
  });
});
