import { describe, expect, it } from '@jest/globals';
import { spread } from './spread.ts';

const ALWAYS = new AbortController().signal;

/** Daemons by name; those in `broken` cannot fetch. */
async function run(targets: readonly string[], { broken = [] as readonly string[], isSingle = false } = {}) {
  const calls: string[] = [];
  await spread(targets, {
    fetch: (host, onStarted) => {
      calls.push(`fetch ${host}`);
      if (broken.includes(host)) return Promise.resolve(false);
      onStarted();
      return Promise.resolve(true);
    },
    follow: (host) => {
      calls.push(`follow ${host}`);
      return Promise.resolve();
    },
    concurrency: 2,
    isSingle,
    signal: ALWAYS,
  });
  return calls;
}

describe('spread', () => {
  it('has one fetch and all others follow', async () => {
    expect(await run(['a', 'b', 'c'])).toEqual(['fetch a', 'follow b', 'follow c']);
  });

  it('leaves the others alone where one is enough', async () => {
    expect(await run(['a', 'b', 'c'], { isSingle: true })).toEqual(['fetch a']);
  });

  it('has the next one fetch when one fails, and does not ask who failed to follow', async () => {
    expect(await run(['a', 'b', 'c'], { broken: ['a'] })).toEqual(['fetch a', 'fetch b', 'follow c']);
  });

  it('gives up fetching after three, and lets the rest try without', async () => {
    expect(await run(['a', 'b', 'c', 'd'], { broken: ['a', 'b', 'c', 'd'] })).toEqual([
      'fetch a',
      'fetch b',
      'fetch c',
      'follow d',
    ]);
  });

  it('does not begin with followers before the fetcher has begun', async () => {
    const started = Promise.withResolvers<() => void>();
    const followed: string[] = [];
    const done = spread(['a', 'b'], {
      fetch: (_host, onStarted) => new Promise((resolve) => started.resolve(() => (onStarted(), resolve(true)))),
      follow: (host) => Promise.resolve(void followed.push(host)),
      concurrency: 1,
      isSingle: false,
      signal: ALWAYS,
    });
    const begin = await started.promise;
    expect(followed).toEqual([]);
    begin();
    await done;
    expect(followed).toEqual(['b']);
  });
});
