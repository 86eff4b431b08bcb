import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '../_silent-logger.ts';
import { EvictionNotices } from './eviction-notices.ts';

/** A scheduler that answers when told to. */
class SlowScheduler {
  readonly told: string[] = [];
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  atOnce = 0;

  deleteTask(taskId: string, { signal }: { signal: AbortSignal }): Promise<void> {
    this.told.push(taskId);
    this.atOnce = Math.max(this.atOnce, this.#waiting.push(Promise.withResolvers<void>()));
    const { promise, reject } = this.#waiting.at(-1) as PromiseWithResolvers<void>;
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    return promise;
  }

  answer(error?: Error): void {
    for (const { resolve, reject } of this.#waiting.splice(0))
      if (error === undefined) resolve();
      else reject(error);
  }
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, n) => `task-${n}`);
const turns = () => new Promise((resolve) => setTimeout(resolve, 5));

function setUp(held: readonly string[] = [], maxWaiting = 100, linked: readonly string[] = []) {
  const scheduler = new SlowScheduler();
  const notices = new EvictionNotices({
    schedulers: { clientsFor: () => [scheduler] },
    links: { forget: (taskId) => linked.includes(taskId) },
    isHeld: (taskId) => held.includes(taskId),
    logger: silentLogger,
    gatherMs: 0,
    maxWaiting,
  });
  return { scheduler, notices };
}

describe('EvictionNotices', () => {
  it('weakness 38: tells of every eviction, a few at a time, also when some are not heard', async () => {
    const { scheduler, notices } = setUp();
    for (const taskId of ids(10)) notices.evicted(taskId);
    expect(scheduler.told).toEqual([]);
    for (let round = 0; round < 5; round++) {
      await turns();
      scheduler.answer(round === 0 ? new Error('down') : undefined);
    }
    expect(scheduler.told).toEqual(ids(10));
    expect(scheduler.atOnce).toBe(4);
    notices.evicted('later');
    await turns();
    expect(scheduler.told.at(-1)).toBe('later');
    await notices[Symbol.asyncDispose]();
  });

  it('does not tell of a task that is here again', async () => {
    const { scheduler, notices } = setUp(['task-1']);
    for (const taskId of ids(3)) notices.evicted(taskId);
    await turns();
    expect(scheduler.told).toEqual(['task-0', 'task-2']);
    await notices[Symbol.asyncDispose]();
  });

  it('leaves it to the link where the scheduler hears it that way', async () => {
    const { scheduler, notices } = setUp([], 100, ['task-0', 'task-2']);
    for (const taskId of ids(3)) notices.evicted(taskId);
    await turns();
    expect(scheduler.told).toEqual(['task-1']);
    await notices[Symbol.asyncDispose]();
  });

  it('drops the oldest when too many wait', async () => {
    const { scheduler, notices } = setUp([], 3);
    for (const taskId of ids(5)) notices.evicted(taskId);
    await turns();
    expect(scheduler.told).toEqual(ids(5).slice(2));
    await notices[Symbol.asyncDispose]();
  });

  it('ends with the daemon, whatever a scheduler does', async () => {
    const { scheduler, notices } = setUp();
    for (const taskId of ids(6)) notices.evicted(taskId);
    await turns();
    await notices[Symbol.asyncDispose]();
    notices.evicted('too late');
    await turns();
    expect(scheduler.told).toHaveLength(4);
  });
});
