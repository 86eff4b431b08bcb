import type { ByteRange } from '@d7y/piece';
import type { BufferPool } from '@d7y/service-kit';
import { ReleasedBytesRefutedError } from './errors.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { Pulse } from './pulse.ts';
import type { ReadBytes } from './read-bytes.ts';
import type { TaskStream, TaskTraffic } from './task-opener.ts';

/** What a reader needs to know of the task behind it. */
export interface Readable {
  readonly stored: StoredTask;
  /** Beats whenever more may have been released. */
  readonly advanced: Pulse;
  /** @see Progress.releasedEnd */
  releasedEnd(from: number): number;
  /** Keeps watch over the bytes that a reader is given from `start` on. */
  watchRead?(start: number): ReadBytes;
  traffic(): Omit<TaskTraffic, 'localPeer'>;
  /** A reader takes bytes as they are released, until disposed. */
  attend?(): Disposable;
  /** A reader waits for the byte at `position` until disposed. */
  waitAt?(position: number): Disposable;
  /** Aborts with the reason why no more bytes will come. */
  readonly ended: AbortSignal;
}

export interface TaskReaderInit {
  readonly source: Readable;
  readonly range: ByteRange | undefined;
  readonly fromCache: boolean;
  /** Bytes that were on disk when the caller came. */
  readonly localBytes: number;
  readonly buffers: BufferPool;
  /** The caller's own wish to stop. */
  readonly signal: AbortSignal;
  readonly onLeave: () => void;
}

/** Bytes read into a buffer that goes back with its disposal. */
interface Filled extends Disposable {
  readonly bytes: Uint8Array;
}

/** Headers that say how long the answer is rather than what it is; the front end sets them itself. */
const LENGTH_HEADERS = new Set(['content-length', 'content-range', 'accept-ranges']);

/** One caller reading a task from the store, as far as it is released. */
export class TaskReader implements TaskStream {
  readonly taskId: string;
  readonly contentLength: number;
  readonly range: ByteRange | undefined;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly fromCache: boolean;
  readonly #init: TaskReaderInit;
  readonly #retained: Disposable;
  /** What this reader was given so far. */
  readonly #given: ReadBytes | undefined;
  /** Made when first needed, and once: making one costs more than all the rest of a turn. */
  #stop: AbortSignal | undefined;
  #attending: Disposable | undefined;
  #hasLeft = false;

  constructor(init: TaskReaderInit) {
    const { stored } = init.source;
    this.#init = init;
    this.taskId = stored.taskId;
    this.contentLength = stored.layout.contentLength;
    this.range = init.range;
    this.responseHeaders = Object.fromEntries(
      Object.entries(stored.responseHeaders).filter(([name]) => !LENGTH_HEADERS.has(name)),
    );
    this.fromCache = init.fromCache;
    this.#retained = stored.retain();
    this.#given = init.source.watchRead?.(this.#wanted().start);
  }

  async firstByte(): Promise<void> {
    const { start, length } = this.#wanted();
    this.#attending ??= this.#init.source.attend?.();
    if (length > 0) await this.#releasedBeyond(start);
  }

  async deliver(write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const { start, length } = this.#wanted();
    const end = start + length;
    this.#attending ??= this.#init.source.attend?.();
    let reading = length > 0 ? this.#read(start, end) : undefined;
    try {
      for (let position = start; reading !== undefined;) {
        using filled = await reading;
        position += filled.bytes.length;
        // The next bytes come in, in another thread, while these go out in this one.
        reading = position < end ? this.#read(position, end) : undefined;
        reading?.catch(() => undefined); // looked at in the next turn, if there is one
        // What was read ahead may have been refuted since.
        while (!this.#isRight(position)) await this.#advanced();
        await write(filled.bytes);
      }
    } finally {
      void reading?.then(
        (filled) => filled[Symbol.dispose](),
        () => undefined,
      );
    }
  }

  traffic(): TaskTraffic {
    return { ...this.#init.source.traffic(), localPeer: this.#init.localBytes };
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasLeft) {
      this.#hasLeft = true;
      this.#retained[Symbol.dispose]();
      this.#attending?.[Symbol.dispose]();
      this.#init.onLeave();
    }
    return Promise.resolve();
  }

  /** Reads what is there at `position`, as much as a buffer holds; waits until there is something. */
  async #read(position: number, end: number): Promise<Filled> {
    const { source, buffers, signal } = this.#init;
    const limit = Math.min(await this.#releasedBeyond(position), end);
    const buffer = await buffers.acquire({ signal });
    try {
      const target = buffer.bytes.subarray(0, Math.min(buffer.bytes.length, limit - position));
      const read = await source.stored.read(position, target);
      if (read === 0) throw new Error(`task ${this.taskId}: its file ends at ${position}`);
      return { bytes: target.subarray(0, read), [Symbol.dispose]: () => buffer.release() };
    } catch (error) {
      buffer.release();
      throw error;
    }
  }

  #wanted(): ByteRange {
    return this.range ?? { start: 0, length: this.contentLength };
  }

  /** Waits until something at `position` may be read. @returns how far */
  async #releasedBeyond(position: number): Promise<number> {
    const { source } = this.#init;
    for (;;) {
      const end = this.#isRight(position) ? source.releasedEnd(position) : position;
      if (end > position) return end;
      using _waiting = source.waitAt?.(position);
      await this.#advanced();
    }
  }

  /**
   * Nothing that was read before `position` is in doubt.
   * @throws {ReleasedBytesRefutedError} it was wrong
   */
  #isRight(position: number): boolean {
    const standing = this.#given?.standing(position) ?? 'right';
    if (standing === 'wrong') throw new ReleasedBytesRefutedError(this.taskId);
    return standing === 'right';
  }

  async #advanced(): Promise<void> {
    const { source, signal } = this.#init;
    this.#stop ??= AbortSignal.any([signal, source.ended]);
    await source.advanced.next({ signal: this.#stop });
  }
}
