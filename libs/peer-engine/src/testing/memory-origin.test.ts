import { describe, expect, it } from '@jest/globals';
import { active, anonymous, collect, describeOrigin } from '../conformance/origin.ts';
import { MemoryOrigin } from './memory-origin.ts';

describeOrigin('MemoryOrigin', () => {
  const origin = new MemoryOrigin();
  let count = 0;
  return Promise.resolve({
    origin,
    put: (content) => {
      const url = `https://origin.test/${++count}`;
      origin.put(url, content);
      return url;
    },
    missingUrl: 'https://origin.test/missing',
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

describe('MemoryOrigin', () => {
  it('counts requests and the bytes it handed out', async () => {
    const origin = new MemoryOrigin();
    origin.put('https://origin.test/a', { bytes: new Uint8Array(100_000) });
    await origin.probe(anonymous('https://origin.test/a'), active());
    await origin.fetch(anonymous('https://origin.test/a'), { start: 10, length: 70_000 }, active()).then(collect);
    expect(origin.calls.map(({ kind, range }) => ({ kind, range }))).toEqual([
      { kind: 'probe', range: undefined },
      { kind: 'fetch', range: { start: 10, length: 70_000 } },
    ]);
    expect(origin.bytesServed.get('https://origin.test/a')).toBe(70_000);
  });

  it('fails a body where a test wants it to', async () => {
    const origin = new MemoryOrigin();
    origin.put('https://origin.test/a', { bytes: new Uint8Array(200_000) });
    origin.onChunk = (_call, position) => {
      if (position > 65_000) throw new Error('cut');
    };
    const body = await origin.fetch(anonymous('https://origin.test/a'), undefined, active());
    await expect(collect(body)).rejects.toThrow('cut');
    expect(origin.bytesServed.get('https://origin.test/a')).toBe(65_536);
  });
});
