import { createHash } from 'node:crypto';
import type { StoredTask, TaskOpener, TaskRequest, TaskStream, TaskWatch } from '@d7y/peer-engine';
import type { PieceWatch, TaskPieces } from '@d7y/peer-protocol';
import type { FinishedPieces } from './upload/uploads.ts';
import { createLayout, parseRangeHeader, pieceDigestOf, pieceRange, PieceSet, type TrafficType } from '@d7y/piece';
import { AsyncQueue } from '@d7y/service-kit';
import { MemoryTaskStore } from '@d7y/peer-engine/testing';

export const TASK_ID = 'c'.repeat(64);
export const PIECE_LENGTH = 1000;

/** A task in a store, whose pieces a test finishes one by one. */
export class FakeTask implements TaskPieces, FinishedPieces {
  readonly store = new MemoryTaskStore();
  readonly content: Buffer;
  /** Answered by `state()` while not all pieces are there. */
  stateWhileIncomplete: 'running' | 'failed' = 'running';
  stored: StoredTask | undefined;
  readonly #queues = new Set<AsyncQueue<number>>();
  #isOver = false;

  constructor(bytes: number) {
    this.content = Buffer.from(Array.from({ length: bytes }, (_, index) => index % 251));
  }

  async create(): Promise<StoredTask> {
    this.stored = await this.store.create({
      taskId: TASK_ID,
      url: 'http://origin.test/file',
      layout: createLayout(this.content.length, PIECE_LENGTH),
      digest: undefined,
      responseHeaders: { 'content-type': 'text/plain' },
      isPrivate: false,
    });
    return this.stored;
  }

  /** Stores a piece and tells everybody. */
  async finish(...numbers: number[]): Promise<void> {
    await this.#store(numbers, 'backToSource');
  }

  /** The same for pieces that came from a peer. */
  async receive(...numbers: number[]): Promise<void> {
    await this.#store(numbers, 'remotePeer');
  }

  async #store(numbers: readonly number[], trafficType: TrafficType): Promise<void> {
    const stored = this.stored ?? (await this.create());
    for (const number of numbers) {
      const { start, length } = pieceRange(stored.layout, number);
      const bytes = this.content.subarray(start, start + length);
      await stored.write(start, [bytes]);
      stored.recordPiece({
        number,
        offset: start,
        length,
        digest: pieceDigestOf(bytes),
        sha256: createHash('sha256').update(bytes).digest('hex'),
        trafficType,
        isVerified: true,
        costMs: 1,
        createdAtMs: 1,
      });
      for (const queue of this.#queues) queue.push(number);
    }
    if (stored.finishedPieces.size === stored.layout.pieceCount) {
      await stored.markComplete();
      this.end();
    }
  }

  async finishAll(): Promise<void> {
    const stored = this.stored ?? (await this.create());
    await this.finish(...PieceSet.upTo(stored.layout.pieceCount));
  }

  /** No more pieces come. */
  end(): void {
    this.#isOver = true;
    for (const queue of this.#queues) queue.close();
  }

  async piece(taskId: string, pieceNumber: number) {
    return this.store.get(taskId)?.piece(pieceNumber);
  }

  opening(): undefined {
    return undefined;
  }

  watch(taskId: string): PieceWatch | undefined {
    const stored = this.store.get(taskId);
    if (stored === undefined) return undefined;
    const queue = new AsyncQueue<number>(1000);
    this.#queues.add(queue);
    if (this.#isOver) queue.close();
    return {
      finished: [...stored.finishedPieces],
      newlyFinished: queue,
      state: () => (stored.isComplete ? 'finished' : this.stateWhileIncomplete),
      piece: (number) => stored.piece(number),
      [Symbol.dispose]: () => void this.#queues.delete(queue),
    };
  }
}

/** The same task as the engine lets it be followed. */
export function taskWatchOf(task: FakeTask, taskId: string): TaskWatch | undefined {
  const watch = task.watch(taskId);
  const stored = task.store.get(taskId);
  if (watch === undefined || stored === undefined) return undefined;
  const pieceOf = (number: number) => stored.piece(number) ?? [];
  return {
    finished: [...watch.finished].flatMap(pieceOf),
    arriving: (async function* () {
      for await (const number of watch.newlyFinished) yield* [pieceOf(number)].flat();
      if (watch.state() === 'failed') throw new Error('the task failed');
    })(),
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

/** An engine that serves one FakeTask, waiting for its pieces in order. */
export class FakeEngine implements TaskOpener {
  readonly requests: TaskRequest[] = [];
  left = 0;
  failure: Error | undefined;
  readonly #task: FakeTask;

  constructor(task: FakeTask) {
    this.#task = task;
  }

  async open(request: TaskRequest, { signal }: { signal: AbortSignal }): Promise<TaskStream> {
    this.requests.push(request);
    if (this.failure !== undefined) throw this.failure;
    const task = this.#task;
    const stored = task.stored ?? (await task.create());
    const wanted = parseRangeHeader(request.rangeHeader, task.content.length);
    const range = wanted.kind === 'ranges' ? wanted.ranges[0] : undefined;
    const { start, length } = range ?? { start: 0, length: task.content.length };
    return {
      taskId: TASK_ID,
      contentLength: task.content.length,
      range,
      responseHeaders: stored.responseHeaders,
      fromCache: stored.isComplete,
      firstByte: async () => undefined,
      deliver: async (write) => {
        for (let at = start; at < start + length;) {
          const number = Math.floor(at / PIECE_LENGTH);
          while (!stored.finishedPieces.has(number)) {
            signal.throwIfAborted();
            if (task.stateWhileIncomplete === 'failed') throw new Error('the task failed');
            await new Promise((resolve) => setImmediate(resolve));
          }
          // Chunks that do not end where pieces do, as the engine's buffers.
          const end = Math.min(start + length, (number + 1) * PIECE_LENGTH, at + 700);
          await write(task.content.subarray(at, end));
          at = end;
        }
      },
      traffic: () => ({ backToSource: length, remotePeer: 0, localPeer: 0 }),
      [Symbol.asyncDispose]: async () => void this.left++,
    };
  }
}
