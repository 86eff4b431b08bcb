import { describe, expect, it } from '@jest/globals';
import { FakeCluster, requestOf } from './_swarm.ts';
import type { NewTask, StoredTask } from './index.ts';
import { MemoryOrigin, MemoryTaskStore } from './testing/index.ts';

const URL = 'http://registry.test/file';

/** Puts a task on record when it is told to. */
class SlowStore extends MemoryTaskStore {
  readonly asked = Promise.withResolvers<void>();
  readonly recorded = Promise.withResolvers<void>();

  override async create(task: NewTask): Promise<StoredTask> {
    this.asked.resolve();
    await this.recorded.promise;
    return super.create(task);
  }
}

function pullInto(store: SlowStore) {
  const origin = new MemoryOrigin();
  origin.put(URL, { bytes: Buffer.from('content'), headers: {} });
  const cluster = new FakeCluster(origin);
  const engine = cluster.add('a', { store });
  const opening = engine.open(requestOf(URL), { signal: new AbortController().signal });
  opening.catch(() => undefined);
  return { engine, opening, scheduler: cluster.scheduler };
}

describe('a registration', () => {
  it('is made while the task is put on record, once, and tells the length', async () => {
    const store = new SlowStore();
    const { engine, opening, scheduler } = pullInto(store);
    await store.asked.promise;
    expect(scheduler.registrations.map(({ contentLength }) => contentLength)).toEqual([7]);
    store.recorded.resolve();
    await using stream = await opening;
    await stream.firstByte();
    await engine[Symbol.asyncDispose]();
    expect(scheduler.registrations).toHaveLength(1);
  });

  it('has others who hear of it wait for the task to be on record', async () => {
    const store = new SlowStore();
    const { engine, opening, scheduler } = pullInto(store);
    await store.asked.promise;
    const [registration] = scheduler.registrations;
    const taskId = registration?.taskId ?? '';
    expect(engine.watch(taskId)).toBeUndefined();
    const onRecord = engine.opening(taskId);
    store.recorded.resolve();
    await onRecord;
    {
      using watch = engine.watch(taskId);
      expect(watch).toBeDefined();
    }
    await using stream = await opening;
    await stream.firstByte();
    await engine[Symbol.asyncDispose]();
    expect(engine.opening(taskId)).toBeUndefined();
  });

  it('is taken back when the task cannot be put on record', async () => {
    const store = new SlowStore();
    const { engine, opening, scheduler } = pullInto(store);
    await store.asked.promise;
    const onRecord = engine.opening(scheduler.registrations[0]?.taskId ?? '');
    expect(onRecord).toBeDefined();
    store.recorded.reject(new Error('the disk is full'));
    await expect(opening).rejects.toThrow('the disk is full');
    await onRecord;
    expect([...scheduler.reports.values()]).toEqual([[['failed', 'the disk is full']]]);
    await engine[Symbol.asyncDispose]();
  });
});
