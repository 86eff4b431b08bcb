import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Instruction } from '@d7y/peer-protocol';
import { RateLimiter } from '@d7y/service-kit';
import fc from 'fast-check';
import type { Behaviour } from './_swarm.ts';
import { FakeCluster, linkThat, MIB, requestOf } from './_swarm.ts';
import type { Engine } from './index.ts';
import { taskIdOfRequest } from './index.ts';
import { MemoryOrigin, MemorySwarm } from './testing/index.ts';

const signal = new AbortController().signal;
let origin: MemoryOrigin;
let cluster: FakeCluster;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  origin = new MemoryOrigin();
  cluster = new FakeCluster(origin);
  cluster.headerTimeoutMs = 10_000;
});

afterEach(async () => {
  await virtually(Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]())));
  jest.useRealTimers();
});

/** Lets virtual time pass until the work is done. @returns its result, and how long it took @throws after half an hour */
async function virtually<T>(work: Promise<T>): Promise<{ result: T; ms: number }> {
  const startedAtMs = Date.now();
  let isDone = false;
  const settle = (): void => void (isDone = true);
  work.then(settle, settle);
  while (!isDone) {
    await new Promise(setImmediate);
    if (!isDone) await jest.advanceTimersByTimeAsync(5);
    if (Date.now() - startedAtMs > 1_800_000) throw new Error('it hangs');
  }
  return { result: await work, ms: Date.now() - startedAtMs };
}

function blob(size: number): { url: string; bytes: Buffer } {
  const bytes = createHash('shake256', { outputLength: size }).update('faults').digest();
  const url = `http://registry.test/v2/app/blobs/sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  origin.put(url, { bytes });
  return { url, bytes };
}

async function pull(engine: Engine, url: string, more = {}): Promise<Buffer> {
  await using stream = await engine.open(requestOf(url, more), { signal });
  const chunks: Buffer[] = [];
  await stream.deliver((bytes) => Promise.resolve(void chunks.push(Buffer.from(bytes))));
  return Buffer.concat(chunks);
}

const served = (url: string): number => origin.bytesServed.get(url) ?? 0;

/** Has these hosts hold the content. */
async function holders(url: string, ...names: string[]): Promise<void> {
  for (const name of names) await virtually(pull(cluster.add(name), url));
}

const FAST = 20 * MIB;

describe('a parent that', () => {
  it('weakness 35: sends 1 KB/s does not slow a pull noticeably', async () => {
    const { url, bytes } = blob(40 * MIB);
    await holders(url, 'slow', 'fast');
    const before = served(url);
    cluster.rates.set('fast', FAST);
    const alone = await virtually(pull(cluster.add('first'), url));
    cluster.rates.set('slow', 1_000);
    const { result, ms } = await virtually(pull(cluster.add('second'), url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeLessThan(alone.ms + 1_500);
    expect(served(url)).toBe(before);
  });

  it.each(['hanging', 'deaf'] as const)('is %s costs nothing while another one serves', async (behaviour) => {
    const { url, bytes } = blob(33 * MIB);
    await holders(url, 'bad', 'good');
    const before = served(url);
    cluster.behaviour.set('bad', behaviour);
    const { result, ms } = await virtually(pull(cluster.add('child'), url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeLessThan(2_000);
    expect(served(url)).toBe(before);
  });

  it.each(['hanging', 'deaf'] as const)(
    'is %s, with no other one, costs the five seconds after which the origin is asked',
    async (behaviour) => {
      const { url, bytes } = blob(9 * MIB);
      await holders(url, 'bad');
      cluster.behaviour.set('bad', behaviour);
      const { result, ms } = await virtually(pull(cluster.add('child'), url));
      expect(result.equals(bytes)).toBe(true);
      expect(ms).toBeLessThan(5_500);
    },
  );

  it('breaks off in the middle of every piece costs no time, and is left alone', async () => {
    const { url, bytes } = blob(33 * MIB);
    await holders(url, 'bad', 'good');
    const before = served(url);
    cluster.behaviour.set('bad', 'cutting');
    const { result, ms } = await virtually(pull(cluster.add('child'), url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeLessThan(500);
    expect(served(url)).toBe(before);
    expect(cluster.blamed).toEqual(['bad: unreachable']);
  });

  it('cannot be reached at all is reported to the scheduler', async () => {
    const { url } = blob(9 * MIB);
    await holders(url, 'bad', 'good');
    cluster.behaviour.set('bad', 'gone');
    await virtually(pull(cluster.add('child'), url));
    const reports = cluster.scheduler.reports.get('127.0.0.1-child-child-0') ?? [];
    expect(reports).toContainEqual(['pieceFailed', undefined, '127.0.0.1-bad-bad-0']);
  });

  it('weakness 35: was late again and again is left alone, and not asked for the next task', async () => {
    const { url } = blob(40 * MIB);
    await holders(url, 'slow', 'fast');
    cluster.rates.set('fast', FAST);
    cluster.rates.set('slow', 1_000);
    const child = cluster.add('child');
    await virtually(pull(child, url));
    expect(cluster.blamed).toEqual(['slow: stalled']);
  });
});

describe('when nobody else has what is late,', () => {
  const slowParent = async (size = 9 * MIB): Promise<{ url: string; bytes: Buffer }> => {
    const content = blob(size);
    await holders(content.url, 'slow');
    cluster.rates.set('slow', 1_000);
    return content;
  };

  it('the origin brings it with a lease, which is given back', async () => {
    const { url, bytes } = await slowParent();
    const link = linkThat(() => 'grant');
    cluster.link = link;
    const { result, ms } = await virtually(pull(cluster.add('child'), url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeLessThan(5_500);
    expect(link.asked).toBeGreaterThan(0);
    expect(link.out).toBe(0);
    expect(served(url)).toBe(2 * bytes.length);
    // Nobody had to be asked for other parents.
    const reports = cluster.scheduler.reports.get('127.0.0.1-child-child-0') ?? [];
    expect(reports.some(([what]) => what === 'reschedule')).toBe(false);
  });

  it('a refused lease is asked for again, and the origin is left alone meanwhile', async () => {
    const { url, bytes } = await slowParent();
    const startedAtMs = Date.now();
    const link = linkThat(() => (Date.now() - startedAtMs < 4_000 ? 'refuse' : 'grant'));
    cluster.link = link;
    const { result, ms } = await virtually(pull(cluster.add('child'), url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeGreaterThan(4_000);
    expect(ms).toBeLessThan(6_500);
    expect(link.asked).toBeLessThan(8);
    expect(served(url)).toBe(2 * bytes.length);
  });

  it('is taken from nobody while a scheduler of ours refuses leave and knows of nobody else', async () => {
    const { url, bytes } = blob(9 * MIB);
    await holders(url, 'slow');
    const before = served(url);
    // It is there, and tells of nothing.
    cluster.behaviour.set('slow', 'deaf');
    const startedAtMs = Date.now();
    let servedByThen = 0;
    const link = linkThat(() => {
      if (Date.now() - startedAtMs < 35_000) return 'refuse';
      servedByThen = served(url) - before;
      return 'grant';
    });
    cluster.link = link;
    const parents = [cluster.asParent('slow', '127.0.0.1-slow-slow-0', bytes.length)];
    cluster.scheduler.others = () => ({ kind: 'parents', parents });
    const { result, ms } = await virtually(pull(cluster.add('child'), url));
    expect(result.equals(bytes)).toBe(true);
    expect(servedByThen).toBe(0);
    expect(ms).toBeGreaterThan(34_000);
    expect(ms).toBeLessThan(40_000);
    expect(served(url) - before).toBe(bytes.length);
    const reports = cluster.scheduler.reports.get('127.0.0.1-child-child-0') ?? [];
    const asked = reports.filter(([what]) => what === 'reschedule').length;
    expect(asked).toBeGreaterThan(1);
    expect(asked).toBeLessThan(5);
  });

  it('a scheduler that knows no leases is asked for others, and sends us to the origin', async () => {
    const { url, bytes } = await slowParent();
    cluster.link = linkThat(() => 'unlinked');
    const { result, ms } = await virtually(pull(cluster.add('child'), url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeLessThan(5_500);
    const reports = cluster.scheduler.reports.get('127.0.0.1-child-child-0') ?? [];
    expect(reports.filter(([what]) => what === 'reschedule')).toHaveLength(1);
  });

  it('the rest is asked of it again, once it has nothing to do', async () => {
    // Only new transfers show that it has recovered.
    cluster = new FakeCluster(origin, { lateMs: 60_000, starvationMs: 60_000 });
    const { url, bytes } = await slowParent(23 * MIB);
    cluster.link = linkThat(() => 'grant');
    setTimeout(() => cluster.rates.delete('slow'), 3_000);
    const { result, ms } = await virtually(pull(cluster.add('child'), url, { concurrentPieceCount: 2 }));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeLessThan(5_500);
    // Two pieces were under way when it fell silent.
    expect(served(url)).toBe(bytes.length + 8 * MIB);
  });

  it.each(['grant', 'unlinked'] as const)('nothing is left undone when it never recovers: %s', async (leave) => {
    cluster = new FakeCluster(origin, { lateMs: 60_000, starvationMs: 60_000 });
    const { url, bytes } = await slowParent(23 * MIB);
    cluster.link = linkThat(() => leave);
    // The scheduler has nobody else.
    const parents = [cluster.asParent('slow', '127.0.0.1-slow-slow-0', bytes.length)];
    cluster.scheduler.answer = (): Instruction => ({ kind: 'parents', parents });
    const { result, ms } = await virtually(pull(cluster.add('child'), url, { concurrentPieceCount: 2 }));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeLessThan(30_000);
  });

  it('one of several who have nothing but each other brings all that is missing without a pause', async () => {
    const { url, bytes } = blob(60 * MIB);
    // A piece in 40 ms, so that the others have told of a piece before the next one is here.
    origin.onChunk = (call, position) =>
      position % (4 * MIB) === 0 ? new Promise((resolve) => setTimeout(resolve, 40)) : undefined;
    const names = ['one', 'two', 'three'];
    cluster.swarm = new MemorySwarm();
    cluster.scheduler.answer = ({ hostId }) => ({
      kind: 'parents',
      parents: names
        .filter((name) => hostId !== `127.0.0.1-${name}`)
        .map((name) => cluster.asParent(name, `127.0.0.1-${name}-${name}-0`, bytes.length)),
    });
    const engines = names.map((name) => cluster.add(name));
    const { result, ms } = await virtually(Promise.all(engines.map((engine) => pull(engine, url))));
    for (const got of result) expect(got.equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
    // The wait for others comes once, not for every few pieces.
    expect(ms).toBeLessThan(8_000);
  });

  it('a transfer that outlives all its bounds is ended, and the download with it where nobody else may be asked', async () => {
    const { url, bytes } = await slowParent(5 * MIB);
    cluster.behaviour.set('slow', 'hanging');
    const parents = [cluster.asParent('slow', '127.0.0.1-slow-slow-0', bytes.length)];
    cluster.scheduler.answer = (): Instruction => ({ kind: 'parents', parents });
    const pulled = pull(cluster.add('child'), url, { disableBackToSource: true }).then(
      () => 'pulled',
      (error: unknown) => (error as { code?: unknown }).code,
    );
    const { result, ms } = await virtually(pulled);
    expect(result).toBe('TASK_UNAVAILABLE');
    expect(ms).toBeLessThan(600_000);
  });

  it('the origin is not asked where the caller forbids it', async () => {
    const { url, bytes } = await slowParent(5 * MIB);
    cluster.rates.set('slow', 40_000);
    cluster.link = linkThat(() => 'grant');
    const before = served(url);
    const calls = origin.calls.length;
    // The scheduler has nobody else either.
    const parents = [cluster.asParent('slow', 'slow-peer', bytes.length)];
    cluster.scheduler.answer = (): Instruction => ({ kind: 'parents', parents });
    const pulled = pull(cluster.add('child'), url, { disableBackToSource: true });
    pulled.catch(() => undefined);
    await virtually(pulled.catch(() => undefined));
    expect(served(url)).toBe(before);
    expect(origin.calls).toHaveLength(calls);
  });
});

describe('whatever parents do', () => {
  const behaviours = [
    ...['good', 'corrupt', 'lying', 'silent', 'mute', 'refusing', 'gone', 'hanging', 'deaf', 'cutting'],
  ] as const satisfies readonly Behaviour[];
  const parent = fc.record({
    behaviour: fc.constantFrom(...behaviours),
    bytesPerSec: fc.constantFrom(undefined, 1_000, 100_000, FAST),
  });
  const leave = fc.constantFrom('grant', 'refuse', 'unlinked', 'none');

  it('a task with a working origin completes, fetches no origin byte three times, and keeps to its bounds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(parent, { minLength: 1, maxLength: 4 }),
        leave,
        fc.nat(),
        async (parents, what, seed) => {
          origin = new MemoryOrigin();
          cluster = new FakeCluster(origin);
          cluster.headerTimeoutMs = 10_000;
          const { url, bytes } = blob(4 * MIB * 3 + (seed % MIB) + 1);
          const names = parents.map((_, index) => `parent-${index}`);
          await holders(url, ...names);
          for (const [index, { behaviour, bytesPerSec }] of parents.entries()) {
            cluster.behaviour.set(names[index] ?? '', behaviour);
            if (bytesPerSec !== undefined) cluster.rates.set(names[index] ?? '', bytesPerSec);
          }
          if (what !== 'none') cluster.link = linkThat(() => what);
          const before = served(url);
          const { result, ms } = await virtually(pull(cluster.add('child'), url));
          expect(result.equals(bytes)).toBe(true);
          expect(served(url) - before).toBeLessThanOrEqual(2 * bytes.length);
          expect(cluster.mostUnderWay).toBeLessThanOrEqual(8 + 4 + 1);
          expect(ms).toBeLessThan(300_000);
          await virtually(
            Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]())),
          );
          expect(cluster.underWay).toBe(0);
        },
      ),
      { numRuns: 12, seed: 20_240_601 },
    );
  }, 120_000);
});

describe('limits', () => {
  it('are kept by a download from peers, which is slow then but not late', async () => {
    const { url, bytes } = blob(9 * MIB);
    await holders(url, 'a', 'b');
    const download = new RateLimiter({ bytesPerSec: MIB, clock: () => Date.now() });
    const before = served(url);
    const child = cluster.add('child', { limits: { download } });
    const askedBefore = (cluster.asked.get('a') ?? 0) + (cluster.asked.get('b') ?? 0);
    const { result, ms } = await virtually(pull(child, url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeGreaterThan(8_500);
    expect(ms).toBeLessThan(9_800);
    expect(served(url)).toBe(before);
    expect(cluster.blamed).toEqual([]);
    expect((cluster.asked.get('a') ?? 0) + (cluster.asked.get('b') ?? 0) - askedBefore).toBe(3);
  });

  it('of one parent are kept, whatever others give', async () => {
    const { url, bytes } = blob(9 * MIB);
    await holders(url, 'a');
    const child = cluster.add('child', { limits: { perParentBytesPerSec: MIB } });
    const { result, ms } = await virtually(pull(child, url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeGreaterThan(8_500);
  });

  it('of the origin are kept by what comes from there', async () => {
    const { url, bytes } = blob(5 * MIB);
    const limiter = new RateLimiter({ bytesPerSec: MIB, clock: () => Date.now() });
    const { result, ms } = await virtually(pull(cluster.add('a', { limits: { origin: limiter } }), url));
    expect(result.equals(bytes)).toBe(true);
    expect(ms).toBeGreaterThan(4_500);
    expect(ms).toBeLessThan(5_800);
  });
});

describe('a piece under way twice', () => {
  it('is written by one transfer at a time: whoever is recorded wrote every byte', async () => {
    const { url, bytes } = blob(4 * MIB);
    await holders(url, 'slow', 'fast');
    cluster.rates.set('slow', 512 * 1024);
    cluster.rates.set('fast', 2 * MIB);
    cluster.behaviour.set('slow', 'lying');
    const child = cluster.add('child');
    // The first parent asked is the one that lies, and is slower than the other is known to be.
    const { result } = await virtually(pull(child, url));
    expect(result.equals(bytes)).toBe(true);
    const stored = cluster.engines.get('child')?.store.get(taskIdOfRequest(requestOf(url)));
    expect(stored?.isComplete).toBe(true);
  });
});
