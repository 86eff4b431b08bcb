import { describe, expect, it } from '@jest/globals';
import { createLogger } from '@d7y/service-kit';
import { eventually } from '@d7y/testkit';
import { EventIds } from './event-text.ts';
import type { FeedLimits } from './feed.ts';
import { Feed } from './feed.ts';

interface Item {
  readonly id: number;
  readonly of: string;
}

/** A feed of what the test says; each look at it is counted, and whoever listens to it told of in words. */
function feedOf(limits: Partial<FeedLimits> = {}) {
  const source = {
    items: [] as Item[],
    incomplete: [] as string[],
    missing: '',
    failure: undefined as Error | undefined,
  };
  const looks = { count: 0, shown: [] as readonly Item[] };
  const lines: string[] = [];
  const logger = createLogger({
    ...{ name: 'test', level: 'info', stream: { write: (line: string) => void lines.push(line) } },
  });
  const feed = new Feed<Item>({
    ...{ topic: 'jobs', intervalMs: 1, ids: new EventIds(), logger, limits },
    keyOf: ({ id }) => ({ id }),
    async read(shown) {
      looks.count++;
      looks.shown = shown;
      if (source.failure !== undefined) throw source.failure;
      const { items, incomplete, missing } = source;
      return { items, incomplete, mayBeMissing: ({ of }) => of === missing };
    },
  });
  const listen = () => {
    const events: Buffer[] = [];
    const listening = feed.listen((event) => events.push(event));
    const told = () =>
      events.map((event) => {
        const [, name, json] = /^id: \S+\nevent: jobs\.(\w+)\ndata: (.*)\n\n$/.exec(event.toString()) ?? [];
        return [name, JSON.parse(json ?? '')] as [string, Record<string, unknown>];
      });
    const next = async (count: number) => {
      await eventually(() => expect(events.length).toBeGreaterThanOrEqual(count), { intervalMs: 1 });
      return told()[count - 1];
    };
    return { events, next, told, [Symbol.dispose]: () => listening[Symbol.dispose]() };
  };
  const looked = async (times = 2) => {
    const until = looks.count + times;
    await eventually(() => expect(looks.count).toBeGreaterThanOrEqual(until), { intervalMs: 1 });
  };
  return { source, looks, looked, lines, listen };
}

const item = (id: number, of = 'a'): Item => ({ id, of });

describe('Feed', () => {
  it('tells a snapshot, then what is new, changed and gone, and nothing when nothing is', async () => {
    const { source, listen, looked } = feedOf();
    source.items = [item(1), item(2)];
    using one = listen();
    expect(await one.next(1)).toEqual(['snapshot', { items: source.items, total: 2, incomplete: [] }]);
    await looked();
    source.items = [item(2, 'b'), item(3)];
    expect(await one.next(2)).toEqual([
      'changed',
      { changed: [item(2, 'b'), item(3)], removed: [{ id: 1 }], total: 2, incomplete: [] },
    ]);
    await looked();
    expect(one.told()).toHaveLength(2);
  });

  it('looks once for all who listen, and gives all of them the same memory', async () => {
    const { source, looks, looked, listen } = feedOf();
    source.items = [item(1)];
    using stack = new DisposableStack();
    const all = Array.from({ length: 50 }, () => stack.use(listen()));
    await looked();
    const late = stack.use(listen());
    expect(late.told()).toEqual([['snapshot', { items: [item(1)], total: 1, incomplete: [] }]]);
    source.items = [item(2)];
    for (const one of [...all, late]) await one.next(2);
    for (const { events } of [...all, late]) {
      expect(events[0]).toBe(all[0]?.events[0]);
      expect(events[1]).toBe(all[0]?.events[1]);
    }
    await looked();
    expect(looks.shown).toEqual([item(2)]);
  });

  it('looks only while somebody listens, and begins anew with a snapshot', async () => {
    const { source, looks, listen, looked } = feedOf();
    const one = listen();
    await looked();
    one[Symbol.dispose]();
    const { count } = looks;
    source.items = [item(7)];
    using other = listen();
    expect(await other.next(1)).toEqual(['snapshot', { items: [item(7)], total: 1, incomplete: [] }]);
    expect(looks.count).toBeGreaterThan(count);
    expect(one.told()).toHaveLength(1);
  });

  it('shows no more than it may, by number and by length, and says how many there are', async () => {
    const { source, listen } = feedOf({ maxItems: 3 });
    source.items = [1, 2, 3, 4, 5].map((id) => item(id));
    using one = listen();
    expect(await one.next(1)).toMatchObject(['snapshot', { items: source.items.slice(0, 3), total: 5 }]);
    source.items = source.items.slice(1);
    expect(await one.next(2)).toMatchObject(['changed', { changed: [item(4)], removed: [{ id: 1 }], total: 4 }]);
    const short = feedOf({ maxChars: 2 * JSON.stringify(item(1)).length });
    short.source.items = source.items;
    using other = short.listen();
    expect(await other.next(1)).toMatchObject(['snapshot', { items: source.items.slice(0, 2), total: 4 }]);
  });

  it('keeps for a while what may be missing only because somebody did not tell', async () => {
    const { source, listen } = feedOf({ keepMs: 2_000 });
    source.items = [item(1), item(2, 'b')];
    using one = listen();
    await one.next(1);
    Object.assign(source, { items: [], incomplete: ['b'], missing: 'b' });
    expect(await one.next(2)).toEqual(['changed', { changed: [], removed: [{ id: 1 }], total: 1, incomplete: ['b'] }]);
    expect(await one.next(3)).toEqual(['changed', { changed: [], removed: [{ id: 2 }], total: 0, incomplete: ['b'] }]);
  });

  it('goes on after a look that failed, and says so once', async () => {
    const { source, listen, looked, lines } = feedOf();
    source.failure = new Error('away');
    using one = listen();
    await looked(3);
    expect(one.told()).toEqual([]);
    source.failure = undefined;
    expect(await one.next(1)).toMatchObject(['snapshot', { total: 0 }]);
    await looked();
    expect(lines.filter((line) => line.includes('are not told of changes'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('told of changes again'))).toHaveLength(1);
  });
});
