import { Code } from '@connectrpc/connect';
import { describe, expect, it } from '@jest/globals';
import { AsyncQueue } from '@d7y/service-kit';
import type { PieceWatch, TaskPieces } from './piece-sync.ts';
import { syncPiecesStream } from './piece-sync.ts';

const SERVER = { ip: '10.0.0.2', tcpPort: 4005 };
const NEVER = new AbortController().signal;

/** One task of 100-byte pieces that tests drive by hand. */
class FakeTask implements TaskPieces {
  state: ReturnType<PieceWatch['state']> = 'running';
  readonly news = new AsyncQueue<number>(100);
  readonly finished: number[];
  watching = 0;
  constructor(...finished: number[]) {
    this.finished = finished;
  }
  /** Becomes known when it settles. */
  opened: Promise<void> | undefined;
  #isOpened = false;
  opening(taskId: string): Promise<void> | undefined {
    return taskId === 'opening' ? this.opened?.then(() => void (this.#isOpened = true)) : undefined;
  }
  watch(taskId: string): PieceWatch | undefined {
    if (taskId !== 'known' && !(taskId === 'opening' && this.#isOpened)) return undefined;
    this.watching += 1;
    return {
      finished: [...this.finished],
      newlyFinished: this.news,
      state: () => this.state,
      piece: (number) => ({ offset: number * 100, length: 100 }),
      [Symbol.dispose]: () => void (this.watching -= 1),
    };
  }
  end(state: 'finished' | 'failed'): void {
    this.state = state;
    this.news.close();
  }
}

const open = (tasks: TaskPieces, interestedPieceNumbers: number[], taskId = 'known', signal = NEVER) =>
  syncPiecesStream(tasks, { taskId, hostId: '10.0.0.3-child', interestedPieceNumbers }, SERVER, { signal });

async function numbers(stream: ReturnType<typeof open>): Promise<(number | undefined)[]> {
  const seen: (number | undefined)[] = [];
  for await (const { number } of stream) seen.push(number);
  return seen;
}

describe('syncPiecesStream', () => {
  it('names the finished pieces, and where to get them', async () => {
    const task = new FakeTask(0, 1, 2);
    const stream = open(task, [1]);
    expect((await stream.next()).value).toEqual({
      number: 1,
      offset: 100n,
      length: 100n,
      ip: '10.0.0.2',
      tcpPort: 4005,
    });
    expect((await stream.next()).done).toBe(true);
    expect(task.watching).toBe(0);
  });

  it('names further pieces as they are finished, each once, and ends when all are named', async () => {
    const task = new FakeTask(0);
    const seen = numbers(open(task, [0, 1, 3]));
    for (const number of [0, 2, 3, 3, 1]) task.news.push(number);
    expect(await seen).toEqual([0, 3, 1]);
    expect(task.watching).toBe(0);
  });

  it('ends with the task when pieces are missing', async () => {
    const task = new FakeTask();
    const seen = numbers(open(task, [0, 99]));
    task.news.push(0);
    task.end('finished');
    expect(await seen).toEqual([0]);
    const complete = new FakeTask(0);
    complete.state = 'finished';
    expect(await numbers(open(complete, [0, 99]))).toEqual([0]);
  });

  it('fails for a task that is unknown, has failed, or fails', async () => {
    const task = new FakeTask();
    await expect(numbers(open(task, [0], 'unknown'))).rejects.toMatchObject({ code: Code.Internal });
    const failing = numbers(open(task, [0]));
    task.end('failed');
    await expect(failing).rejects.toMatchObject({ code: Code.Internal });
    await expect(numbers(open(task, [0]))).rejects.toMatchObject({ code: Code.Internal });
    expect(task.watching).toBe(0);
  });

  it('waits for a task that has just been begun, no longer than the child does', async () => {
    const task = new FakeTask(0);
    const { promise, resolve } = Promise.withResolvers<void>();
    task.opened = promise;
    const seen = numbers(open(task, [0], 'opening'));
    const controller = new AbortController();
    const left = numbers(open(task, [0], 'opening', controller.signal));
    controller.abort();
    expect(await left).toEqual([]);
    resolve();
    expect(await seen).toEqual([0]);
    expect(task.watching).toBe(0);
    // Begun, and yet nothing came of it.
    await expect(numbers(open(new FakeTask(0), [0], 'opening'))).rejects.toMatchObject({ code: Code.Internal });
  });

  it('ends when the child leaves, while nothing happens', async () => {
    const task = new FakeTask();
    const controller = new AbortController();
    const seen = numbers(open(task, [0], 'known', controller.signal));
    controller.abort();
    expect(await seen).toEqual([]);
    expect(task.watching).toBe(0);
  });
});
