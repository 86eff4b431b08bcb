import type { ByteRange } from '@d7y/piece';
import type { BufferPool, PooledBuffer } from '@d7y/service-kit';
import { ReleasedBytesRefutedError } from './errors.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { Pulse } from './pulse.ts';
import type { ReadBytes } from './read-bytes.ts';
import type { TaskStream, TaskTraffic } from './task-opener.ts';

/** What a reader needs to know of the task behind it. */
export interface Readable {
  readonly stored: StoredTask;
  readonly changed: Pulse;
  /** @see Progress.releasedEnd */
  releasedEnd(from: number): number;
  /** Keeps watch over the bytes that a reader is given from `start` on. */
  watchRead?(start: number): ReadBytes;
  traffic(): { readonly backToSource: number; readonly remotePeer: number };
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
  readonly #read: ReadBytes | undefined;
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
    this.#read = init.source.watchRead?.(this.#wanted().start);
  }

  async firstByte(): Promise<void> {
    const { start, length } = this.#wanted();
    if (length > 0) await this.#releasedBeyond(start);
  }

  async deliver(write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const { stored } = this.#init.source;
    const { start, length } = this.#wanted();
    const end = start + length;
    let writing: Promise<void> = Promise.resolve();
    try {
      for (let position = start; position < end;) {
        const limit = Math.min(await this.#releasedBeyond(position), end);
        const buffer = await this.#init.buffers.acquire({ signal: this.#init.signal });
        let read: number;
        try {
          read = await stored.read(position, buffer.bytes.subarray(0, Math.min(buffer.bytes.length, limit - position)));
          if (read === 0) throw new Error(`task ${this.taskId}: its file ends at ${position}`);
          await writing;
        } catch (error) {
          buffer.release();
          throw error;
        }
        writing = this.#write(write, buffer, read);
        // The next turn or the end looks at the outcome.
        writing.catch(() => undefined);
        position += read;
      }
    } finally {
      await writing;
    }
  }

  traffic(): TaskTraffic {
    return { ...this.#init.source.traffic(), localPeer: this.#init.localBytes };
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasLeft) {
      this.#hasLeft = true;
      this.#retained[Symbol.dispose]();
      this.#init.onLeave();
    }
    return Promise.resolve();
  }

  async #write(write: (bytes: Uint8Array) => Promise<void>, buffer: PooledBuffer, length: number): Promise<void> {
    try {
      await write(buffer.bytes.subarray(0, length));
    } finally {
      buffer.release();
    }
  }

  #wanted(): ByteRange {
    return this.range ?? { start: 0, length: this.contentLength };
  }

  /** Waits until something at `position` may be read. @returns how far */
  async #releasedBeyond(position: number): Promise<number> {
    const { source, signal } = this.#init;
    for (;;) {
      const standing = this.#read?.standing(position) ?? 'right';
      if (standing === 'wrong') throw new ReleasedBytesRefutedError(this.taskId);
      const end = source.releasedEnd(position);
      if (end > position && standing === 'right') return end;
      using _waiting = source.waitAt?.(position);
      await source.changed.next({ signal: AbortSignal.any([signal, source.ended]) });
    }
  }
}
