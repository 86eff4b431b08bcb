import type { BufferPool, Logger, PooledBuffer } from '@d7y/service-kit';
import { ReaderStalledError } from './errors.ts';
import type { ReadAhead } from './read-ahead.ts';

/** When a reader that does not take its bytes costs it its connection. All in ms. */
export interface StallPolicy {
  /** How long somebody has to wait for a buffer before. */
  readonly patienceMs: number;
  /** How long the reader must have taken nothing. */
  readonly stalledMs: number;
}

export const DEFAULT_STALL_POLICY: StallPolicy = { patienceMs: 2_000, stalledMs: 10_000 };

/** How often those who wait are looked after, in ms. */
const LOOK_MS = 250;
/** Who has not taken a buffer for so long can do without the next one, in ms. */
const STUCK_MS = 100;

/** Whoever has buffers to lend. */
export interface BufferSource {
  /** Rejects with the signal's reason. */
  acquire(options: { signal: AbortSignal }): Promise<PooledBuffer>;
}

/** Bytes in a buffer that goes back with its disposal. */
export interface FilledBuffer extends Disposable {
  readonly bytes: Uint8Array;
}

export interface ReaderBuffersInit {
  readonly pool: BufferPool;
  /** Larger ones, given first: few readers are served with fewer turns. */
  readonly large?: BufferPool | undefined;
  /** Smaller ones, for when all of the pool are on loan. */
  readonly reserve: BufferPool | undefined;
  readonly policy: StallPolicy;
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/**
 * Buffers for bytes on their way to readers. A reader that takes nothing keeps the one buffer to which its socket refers, and no other: what was
 * read ahead for it goes to those who wait. These get along with smaller buffers where there are any; when none is left either,
 * the readers that have been stalled the longest are cut off. Owner of who is sending, and of who waits.
 */
export class ReaderBuffers implements BufferSource {
  readonly #init: ReaderBuffersInit;
  readonly #outlets = new Set<Outlet>();
  /** Since when they wait, longest first. */
  readonly #waiting = new Set<{ readonly sinceMs: number }>();
  /** When those were cut off whose buffers are not back yet. */
  readonly #leaving = new Set<{ readonly sinceMs: number }>();
  #looking: NodeJS.Timeout | undefined;

  constructor(init: ReaderBuffersInit) {
    this.#init = init;
  }

  /** A buffer for what nobody waits for yet; undefined when others could need it. */
  tryAcquire(): PooledBuffer | undefined {
    const { pool, large } = this.#init;
    return this.#waiting.size === 0 ? (large?.tryAcquire() ?? pool.tryAcquire()) : undefined;
  }

  /** The next free buffer, of any size. Rejects with the signal's reason. */
  async acquire({ signal }: { signal: AbortSignal }): Promise<PooledBuffer> {
    const { pool, large, reserve, clock } = this.#init;
    const free = this.tryAcquire() ?? this.#recalled() ?? reserve?.tryAcquire();
    if (free !== undefined) return free;
    const waiting = { sinceMs: clock() };
    this.#waiting.add(waiting);
    this.#looking ??= setInterval(() => this.#look(), LOOK_MS).unref();
    try {
      return await firstOf(
        [pool, large, reserve].filter((one) => one !== undefined),
        signal,
      );
    } finally {
      this.#waiting.delete(waiting);
      if (this.#waiting.size === 0) {
        clearInterval(this.#looking);
        this.#looking = undefined;
      }
    }
  }

  /** Where one reader's bytes go out, until disposed. @param taskId for logs */
  open(taskId: string): Outlet {
    const outlet = new Outlet(taskId, this.#init.clock, () => this.#outlets.delete(outlet));
    this.#outlets.add(outlet);
    return outlet;
  }

  #recalled(): PooledBuffer | undefined {
    this.#recall();
    return this.tryAcquire();
  }

  #recall(): void {
    const nowMs = this.#init.clock();
    for (const outlet of this.#outlets) if (outlet.stuckMs(nowMs) >= STUCK_MS) outlet.recall();
  }

  #look(): void {
    const { policy, clock, logger } = this.#init;
    const nowMs = clock();
    this.#recall();
    const [first] = this.#waiting;
    if (first === undefined || nowMs - first.sinceMs < policy.patienceMs) return;
    const stalled = [...this.#outlets]
      .filter((outlet) => outlet.stuckMs(nowMs) >= policy.stalledMs)
      .sort((a, b) => b.stuckMs(nowMs) - a.stuckMs(nowMs))
      .slice(0, Math.max(0, this.#waiting.size - this.#leavingSince(nowMs - policy.patienceMs)));
    for (const outlet of stalled) {
      const stalledMs = outlet.stuckMs(nowMs);
      logger.info(
        { taskId: outlet.taskId, stalledMs },
        'a reader that takes nothing is cut off: others wait for its buffer',
      );
      const leaving = { sinceMs: nowMs };
      this.#leaving.add(leaving);
      outlet.cut(stalledMs, () => this.#leaving.delete(leaving));
    }
  }

  /** Whoever takes longer is not counted on. */
  #leavingSince(sinceMs: number): number {
    for (const leaving of this.#leaving) if (leaving.sinceMs < sinceMs) this.#leaving.delete(leaving);
    return this.#leaving.size;
  }
}

/** Where one reader's bytes go out, one buffer at a time. */
export class Outlet implements Disposable {
  readonly taskId: string;
  readonly #clock: () => number;
  readonly #onClose: () => void;
  /** Since when the write under way is. */
  #sinceMs: number | undefined;
  #ahead: ReadAhead | undefined;
  #fail: ((reason: Error) => void) | undefined;
  #onGone: (() => void) | undefined;

  constructor(taskId: string, clock: () => number, onClose: () => void) {
    this.taskId = taskId;
    this.#clock = clock;
    this.#onClose = onClose;
  }

  /** How long the write under way has been, in ms; 0 where there is none. */
  stuckMs(nowMs: number): number {
    return this.#sinceMs === undefined ? 0 : nowMs - this.#sinceMs;
  }

  /**
   * Sends a buffer, which goes back when the reader has taken it, or is gone.
   * @param ahead what was, or is being, read for the time after
   * @throws {ReaderStalledError} it was cut off
   */
  send(filled: FilledBuffer, write: (bytes: Uint8Array) => Promise<void>, ahead: ReadAhead | undefined): Promise<void> {
    this.#sinceMs = this.#clock();
    this.#ahead = ahead;
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      // Whoever was cut off may refer to the bytes until it is really gone.
      const over = (): void => {
        filled[Symbol.dispose]();
        this.#sinceMs = this.#ahead = this.#fail = undefined;
        this.#onGone?.();
      };
      (async () => write(filled.bytes))().finally(over).then(resolve, reject);
    });
  }

  /** What was read ahead is not needed before the write under way has ended. */
  recall(): void {
    this.#ahead?.recall();
  }

  /** @param onGone called when the buffer is back */
  cut(stalledMs: number, onGone: () => void): void {
    this.#sinceMs = undefined;
    this.#onGone = onGone;
    this.#fail?.(new ReaderStalledError(this.taskId, stalledMs));
  }

  [Symbol.dispose](): void {
    this.#onClose();
  }
}

/** The first buffer that one of the pools has to give. */
async function firstOf(pools: readonly BufferPool[], signal: AbortSignal): Promise<PooledBuffer> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const { promise, resolve, reject } = Promise.withResolvers<PooledBuffer>();
  let isOver = false;
  for (const pool of pools) {
    pool.acquire({ signal: either }).then((buffer) => {
      if (isOver) return buffer.release();
      isOver = true;
      resolve(buffer);
      over.abort();
    }, reject);
  }
  return await promise;
}
