import type { ByteRange } from '@d7y/piece';
import type { PooledBuffer } from '@d7y/service-kit';
import { PieceDamagedError, ReleasedBytesRefutedError } from './errors.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { ProvenPieces } from './proven-pieces.ts';
import type { Pulse } from './pulse.ts';
import { ReadAhead } from './read-ahead.ts';
import type { ReadBytes } from './read-bytes.ts';
import type { FilledBuffer, ReaderBuffers } from './reader-buffers.ts';
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
  /** A piece proved to be damaged on disk. @returns whether it will be here again without anybody's doing */
  lost(pieceNumber: number): boolean;
  /** Aborts with the reason why no more bytes will come. */
  readonly ended: AbortSignal;
}

export interface TaskReaderInit {
  readonly source: Readable;
  readonly range: ByteRange | undefined;
  readonly fromCache: boolean;
  /** Bytes that were on disk when the caller came. */
  readonly localBytes: number;
  readonly buffers: ReaderBuffers;
  readonly proven: ProvenPieces;
  /** Asks for the rest anew, when this source has no more to give. @returns undefined when the content is another one by now */
  readonly reopen: (rest: ByteRange) => Promise<TaskStream | undefined>;
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
    this.#attending ??= this.#init.source.attend?.();
    const sent = { end: start };
    try {
      await this.#deliver(sent, start + length, write);
    } catch (error) {
      if (!(error instanceof PieceDamagedError)) throw error;
      await using rest = await this.#init.reopen({ start: sent.end, length: start + length - sent.end });
      if (rest === undefined) throw error;
      await rest.deliver(write);
    }
  }

  /** @param sent how far the reader has got @throws {PieceDamagedError} a piece has to be fetched again, which nobody does */
  async #deliver(sent: { end: number }, end: number, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    using outlet = this.#init.buffers.open(this.taskId);
    let ahead: ReadAhead | undefined;
    try {
      while (sent.end < end) {
        const filled = (await ahead?.take()) ?? (await this.#read(sent.end, end));
        const next = sent.end + filled.bytes.length;
        // The next bytes come in, in another thread, while these go out in this one.
        ahead = next < end ? new ReadAhead(this.#readAhead(next, end)) : undefined;
        // What was read ahead may have been refuted since.
        await this.#standing(filled, next);
        await outlet.send(filled, write, ahead);
        sent.end = next;
      }
    } finally {
      ahead?.[Symbol.dispose]();
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

  /** Waits while what was read before `position` is in doubt; the buffer goes back when it was wrong. */
  async #standing(filled: FilledBuffer, position: number): Promise<void> {
    try {
      while (!this.#isRight(position)) await this.#advanced();
    } catch (error) {
      filled[Symbol.dispose]();
      throw error;
    }
  }

  /** Reads what is there at `position`, as much as a buffer holds; waits until there is something. */
  async #read(position: number, end: number): Promise<FilledBuffer> {
    const limit = await this.#readableBeyond(position, end);
    return await this.#fill(await this.#init.buffers.acquire({ signal: this.#init.signal }), position, limit);
  }

  /** The same for bytes that nobody waits for yet. @returns undefined when there is no buffer to spare */
  async #readAhead(position: number, end: number): Promise<FilledBuffer | undefined> {
    const limit = await this.#readableBeyond(position, end);
    const buffer = this.#init.buffers.tryAcquire();
    return buffer && (await this.#fill(buffer, position, limit));
  }

  async #fill(buffer: PooledBuffer, position: number, limit: number): Promise<FilledBuffer> {
    try {
      const target = buffer.bytes.subarray(0, Math.min(buffer.bytes.length, limit - position));
      const read = await this.#init.source.stored.read(position, target);
      if (read === 0) throw new Error(`task ${this.taskId}: its file ends at ${position}`);
      return { bytes: target.subarray(0, read), [Symbol.dispose]: () => buffer.release() };
    } catch (error) {
      buffer.release();
      throw error;
    }
  }

  /**
   * Waits until something at `position` may be read, and is known to be on disk as it is on record.
   * @returns how far, within its piece
   * @throws {PieceDamagedError} it has to be fetched again, which nobody does
   */
  async #readableBeyond(position: number, end: number): Promise<number> {
    const { source, proven } = this.#init;
    const { stored } = source;
    const { pieceLength } = stored.layout;
    const number = Math.floor(position / pieceLength);
    for (;;) {
      const limit = Math.min(await this.#releasedBeyond(position), end);
      // A piece that is not on record is being written at this moment.
      if (stored.finishedPieces.has(number) && !proven.has(stored, number) && !(await proven.prove(stored, number))) {
        if (!source.lost(number)) throw new PieceDamagedError(this.taskId, number);
        continue;
      }
      const next = number + 1;
      const isNextWanted = next * pieceLength < end && stored.finishedPieces.has(next) && !proven.has(stored, next);
      if (isNextWanted) void proven.prove(stored, next).catch(() => undefined); // asked again when it is its turn
      return Math.min(limit, next * pieceLength);
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
