import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { FakeCluster, linkThat, MIB, requestOf } from './_swarm.ts';
import { MemoryOrigin } from './testing/index.ts';

const signal = new AbortController().signal;
const PIECE_BYTES = 4 * MIB;
/** Of which a parent at 2 MiB/s sends all in a minute. */
const BLOBS = 5;
const PIECES_EACH = 6;
let cluster: FakeCluster;
let origin: MemoryOrigin;
let urls: string[];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  origin = new MemoryOrigin();
  urls = Array.from({ length: BLOBS }, (_, number) => {
    const bytes = Buffer.alloc(PIECES_EACH * PIECE_BYTES, number + 1);
    const url = `http://registry.test/v2/app/blobs/sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    origin.put(url, { bytes });
    return url;
  });
  cluster = new FakeCluster(origin);
});

afterEach(async () => {
  await virtually(Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]())));
  jest.useRealTimers();
});

/** Lets virtual time pass until the work is done. */
async function virtually(work: Promise<unknown>): Promise<void> {
  let isDone = false;
  const settle = (): void => void (isDone = true);
  work.then(settle, settle);
  for (const startedAtMs = Date.now(); !isDone;) {
    await new Promise(setImmediate);
    if (!isDone) await jest.advanceTimersByTimeAsync(20);
    if (Date.now() - startedAtMs > 600_000) throw new Error('it hangs');
  }
  await work;
}

async function pullAll(host: string): Promise<void> {
  const { engine } = cluster.engines.get(host) ?? {};
  const pull = async (url: string): Promise<void> => {
    await using stream = await engine?.open(requestOf(url), { signal });
    await stream?.deliver(() => Promise.resolve());
  };
  await Promise.all(urls.map(pull));
}

it('a parent that sends one piece at a time is waited for: requests of other tasks that it has no turn for are no offence', async () => {
  cluster.add('busy');
  await virtually(pullAll('busy'));
  origin.bytesServed.clear();
  cluster.headerTimeoutMs = 10_000;
  cluster.behaviour.set('busy', 'oneByOne');
  cluster.rates.set('busy', 2 * MIB);
  cluster.add('child');
  await virtually(pullAll('child'));
  expect([...origin.bytesServed.keys()]).toEqual([]);
  expect(cluster.asked.get('busy')).toBeGreaterThan(BLOBS * PIECES_EACH);
});

it.each([true, false])(
  'a parent that has no turn for us is no offender while it says that it serves others: %s',
  async (says) => {
    cluster.add('busy');
    const [url = ''] = urls;
    const pull = async (host: string): Promise<void> => {
      await using stream = await cluster.engines.get(host)?.engine.open(requestOf(url), { signal });
      await stream?.deliver(() => Promise.resolve());
    };
    await virtually(pull('busy'));
    const before = origin.bytesServed.get(url);
    cluster.headerTimeoutMs = 10_000;
    cluster.behaviour.set('busy', 'silent');
    setTimeout(() => cluster.behaviour.delete('busy'), 45_000);
    // Nobody else can help.
    cluster.link = linkThat(() => 'refuse');
    const parents = [cluster.asParent('busy', '127.0.0.1-busy-busy-0', PIECES_EACH * PIECE_BYTES)];
    cluster.scheduler.others = () => ({ kind: 'parents', parents });
    const beats = new Set<NodeJS.Timeout>();
    cluster.turns = {
      setLevel: () => undefined,
      follow: (_parent, _taskId, listener) => {
        listener.ruled(true);
        if (says) beats.add(setInterval(() => listener.serving(), 3_000));
        return { wants: () => undefined, [Symbol.dispose]: () => undefined };
      },
    };
    cluster.add('child');
    await virtually(pull('child'));
    for (const beat of beats) clearInterval(beat);
    expect(cluster.blamed).toEqual(says ? [] : ['busy: stalled']);
    expect(origin.bytesServed.get(url) === before).toBe(says);
  },
);
