import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { FakeCluster, MIB, requestOf } from './_swarm.ts';
import type { Engine } from './index.ts';
import { MemoryOrigin } from './testing/index.ts';

const signal = new AbortController().signal;
const bytes = createHash('shake256', { outputLength: 12 * MIB })
  .update('fallback')
  .digest();
const url = `http://registry.test/v2/app/blobs/sha256:${createHash('sha256').update(bytes).digest('hex')}`;
let cluster: FakeCluster;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  const origin = new MemoryOrigin();
  origin.put(url, { bytes });
  cluster = new FakeCluster(origin);
});

afterEach(async () => {
  await virtually(Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]())));
  jest.useRealTimers();
});

/** Lets virtual time pass until the work is done. @returns how long it took */
async function virtually(work: Promise<unknown>): Promise<number> {
  const startedAtMs = Date.now();
  let isDone = false;
  const settle = (): void => void (isDone = true);
  work.then(settle, settle);
  while (!isDone) {
    await new Promise(setImmediate);
    if (!isDone) await jest.advanceTimersByTimeAsync(5);
    if (Date.now() - startedAtMs > 600_000) throw new Error('it hangs');
  }
  await work;
  return Date.now() - startedAtMs;
}

async function pull(engine: Engine): Promise<void> {
  await using stream = await engine.open(requestOf(url), { signal });
  await stream.deliver(() => Promise.resolve());
}

/** Offers a child these hosts, those named `far…` for what the others do not bring. */
function offer(...hostIds: string[]): void {
  const parents = hostIds.map((hostId) => ({
    ...cluster.asParent(hostId, `${hostId}-peer`, bytes.length),
    isFallback: hostId.startsWith('far'),
  }));
  cluster.scheduler.answer = () => ({ kind: 'parents', parents });
}

describe('a parent that is offered as a fallback', () => {
  it('is not asked for anything while a neighbour delivers', async () => {
    for (const name of ['near', 'far']) await virtually(pull(cluster.add(name)));
    cluster.synced.clear();
    cluster.asked.clear();
    offer('near', 'far');
    await virtually(pull(cluster.add('child')));
    expect([...cluster.synced.keys(), ...cluster.asked.keys()]).toEqual(['near', 'near']);
  });

  it('is asked when nothing has been under way for a second', async () => {
    await virtually(pull(cluster.add('far')));
    cluster.add('near');
    // It is there and has nothing.
    cluster.behaviour.set('near', 'deaf');
    cluster.synced.clear();
    cluster.asked.clear();
    offer('near', 'far');
    const ms = await virtually(pull(cluster.add('child')));
    expect(cluster.asked.get('far')).toBe(bytes.length / (4 * MIB));
    expect(ms).toBeGreaterThanOrEqual(1_000);
    expect(ms).toBeLessThan(1_500);
  });

  it('is asked at once when there is nobody else', async () => {
    await virtually(pull(cluster.add('far')));
    offer('far');
    const ms = await virtually(pull(cluster.add('child')));
    expect(ms).toBeLessThan(100);
  });

  it('is asked soon when the neighbours are gone', async () => {
    await virtually(pull(cluster.add('far')));
    cluster.add('near');
    cluster.behaviour.set('near', 'gone');
    offer('near', 'far');
    const ms = await virtually(pull(cluster.add('child')));
    expect(cluster.asked.get('far')).toBe(bytes.length / (4 * MIB));
    expect(ms).toBeLessThan(1_100);
  });
});
