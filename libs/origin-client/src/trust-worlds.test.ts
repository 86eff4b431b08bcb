import { createLogger } from '@d7y/service-kit';
import { describe, expect, it, jest } from '@jest/globals';
import { TrustWorlds } from './trust-worlds.ts';

const URL = 'https://registry.test/v2/app/blobs/sha256:1?signature=planted';

function worldsOf({ maxWorlds = 2, idleMs = 60_000 } = {}) {
  const made: string[] = [];
  const closed: string[] = [];
  const create = (authorities: string) => {
    made.push(authorities);
    return { authorities, [Symbol.asyncDispose]: async () => void closed.push(authorities) };
  };
  const logger = createLogger({ name: 'test', level: 'silent' });
  return { made, closed, worlds: new TrustWorlds({ create, logger, maxWorlds, idleMs }) };
}

describe('TrustWorlds', () => {
  it('makes one client for equal authorities, and another for others', async () => {
    const { worlds, made } = worldsOf();
    await using _worlds = worlds;
    using first = worlds.use('a', URL);
    using again = worlds.use('a', URL);
    using other = worlds.use('b', URL);
    expect(again.client).toBe(first.client);
    expect(other.client).not.toBe(first.client);
    expect(made).toEqual(['a', 'b']);
  });

  it('closes the least recently used client that is idle to make room', async () => {
    const { worlds, made, closed } = worldsOf();
    await using _worlds = worlds;
    for (const authorities of ['a', 'b', 'a']) worlds.use(authorities, URL)[Symbol.dispose]();
    using _c = worlds.use('c', URL);
    expect(closed).toEqual(['b']);
    using _a = worlds.use('a', URL);
    expect(made).toEqual(['a', 'b', 'c']);
  });

  it('takes no client away from those who use it, and says how many there may be', async () => {
    const { worlds, closed } = worldsOf();
    await using _worlds = worlds;
    using _a = worlds.use('a', URL);
    const b = worlds.use('b', URL);
    using _again = worlds.use('b', URL);
    b[Symbol.dispose]();
    b[Symbol.dispose](); // counts once
    let failure: unknown;
    try {
      worlds.use('c', URL);
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({
      code: 'ORIGIN_UNREACHABLE',
      message: expect.stringContaining('with 2 other sets of authorities') as unknown,
    });
    expect(String(failure)).not.toContain('planted');
    expect(closed).toEqual([]);
  });

  it('closes what nobody has used for a while, not what was used meanwhile', async () => {
    jest.useFakeTimers();
    try {
      const { worlds, closed } = worldsOf({ idleMs: 1000 });
      await using _worlds = worlds;
      worlds.use('a', URL)[Symbol.dispose]();
      const b = worlds.use('b', URL);
      jest.advanceTimersByTime(900);
      worlds.use('a', URL)[Symbol.dispose]();
      jest.advanceTimersByTime(900);
      expect(closed).toEqual([]);
      jest.advanceTimersByTime(200);
      expect(closed).toEqual(['a']);
      b[Symbol.dispose]();
      jest.advanceTimersByTime(1001);
      expect(closed).toEqual(['a', 'b']);
    } finally {
      jest.useRealTimers();
    }
  });

  it('closes all of them when it is disposed, and makes no more', async () => {
    const { worlds, closed } = worldsOf();
    const a = worlds.use('a', URL);
    await worlds[Symbol.asyncDispose]();
    a[Symbol.dispose]();
    expect(closed).toEqual(['a']);
    expect(() => worlds.use('a', URL)).toThrow('closed');
  });
});
