import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ByteRange, PieceRecord } from '@d7y/piece';
import { pieceDigest, pieceRange } from '@d7y/piece';
import type { ByteLimiter } from '@d7y/service-kit';
import { OriginWidth } from './origin-width.ts';
import type { Origin, OriginRequest } from './ports/origin.ts';
import { OriginUnreachableError } from './ports/origin.ts';
import type { ClaimHolder, Progress } from './progress.ts';

/** Consecutive pieces asked for in one request: few requests, yet a seed's first pieces come early. */
const MAX_RUN_PIECES = 4;

export interface OriginFetcherInit {
  readonly origin: Origin;
  readonly request: OriginRequest;
  readonly progress: Progress;
  /** Requests at the same time, at most. */
  readonly concurrency: number;
  /** Drawn on for each chunk, which may belong to this piece. */
  readonly limitersFor: (pieceNumber: number) => readonly ByteLimiter[];
  /** Whether the SHA-256 of a piece is worth computing. */
  readonly wantsSha256: (pieceNumber: number) => boolean;
  /** Pieces that are under way and late, wherever they are coming from. */
  readonly late: () => readonly number[];
  /** Takes such a piece over, or one that is missing. @returns false when it is here, or not to be had */
  readonly takeOver: (pieceNumber: number, holder: ClaimHolder) => Promise<boolean>;
  /** Waits while enough is here that is to be sent to others first; undefined when there is nothing to wait for. */
  readonly pace?: ((options: { signal: AbortSignal }) => Promise<void> | undefined) | undefined;
  /** Unix time in ms. */
  readonly clock: () => number;
  /** A piece is here; reports go from there. */
  readonly onPiece: (piece: PieceRecord) => void;
}

/** Consecutive pieces to read in one request. */
interface Run {
  readonly numbers: readonly number[];
  /** They are somebody else's until their first byte is here. */
  readonly isLate: boolean;
  readonly owned: OwnedPieces;
}

/** Pieces of one run that nobody else fetches. */
class OwnedPieces implements ClaimHolder {
  readonly numbers = new Set<number>();

  isFetching(number: number): boolean {
    return this.numbers.has(number);
  }
}

/** Fetches missing and late pieces of a task from its origin, each byte once. */
export class OriginFetcher {
  readonly #init: OriginFetcherInit;
  #running: Promise<void> | undefined;
  #helping: Promise<void> | undefined;
  /** Late pieces that are being asked for. */
  readonly #asked = new Set<number>();

  constructor(init: OriginFetcherInit) {
    this.#init = init;
  }

  get isRunning(): boolean {
    return this.#running !== undefined || this.#helping !== undefined;
  }

  /**
   * Resolves when nothing is missing any more that somebody else is not fetching in good time. Calls join.
   * @throws what the origin throws, for the first request that fails; the others are cut short
   */
  async fetchMissing({ signal }: { signal: AbortSignal }): Promise<void> {
    this.#running ??= this.#fetch(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** As fetchMissing, but of `numbers` only: pieces that others are to bring and do not. One request at a time. Calls join. */
  async fetchLate(numbers: () => readonly number[], { signal }: { signal: AbortSignal }): Promise<void> {
    this.#helping ??= this.#help(numbers, signal).finally(() => {
      this.#helping = undefined;
    });
    return this.#helping;
  }

  /** Resolves when nothing is being fetched, whatever became of it. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#running, this.#helping]);
  }

  get #wholeOnly(): boolean {
    return this.#init.progress.stored.responseHeaders['accept-ranges'] === 'none';
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const failure = new AbortController();
    const either = AbortSignal.any([signal, failure.signal]);
    const width = new OriginWidth(this.#wholeOnly ? 1 : this.#init.concurrency);
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    let running = 0;
    let isPaused = false;
    const mayGoOn = (): boolean => {
      const pause = isPaused ? undefined : this.#init.pace?.({ signal: either });
      if (pause === undefined) return !isPaused;
      isPaused = true;
      void pause
        .catch(() => undefined)
        .finally(() => {
          isPaused = false;
          begin();
        });
      return false;
    };
    const begin = (): void => {
      while (running < width.width && !either.aborted && mayGoOn()) {
        // A trial is to be over soon: nothing that was asked for is cut off.
        const run = this.#nextRun(width.isTrying && running > 0 ? 1 : MAX_RUN_PIECES);
        if (run === undefined) break;
        running++;
        this.#fetchRun(run, either, { onBytes, onPiece: () => width.finished() })
          .catch((error: unknown) => failure.abort(error))
          .finally(() => {
            running--;
            begin();
          });
      }
      if (running === 0 && !isPaused) resolve();
    };
    const onBytes = (bytes: number): void => {
      if (width.received(bytes, this.#init.clock())) begin();
    };
    begin();
    await settled;
    signal.throwIfAborted();
    if (failure.signal.aborted) throw failure.signal.reason;
  }

  async #help(numbers: () => readonly number[], signal: AbortSignal): Promise<void> {
    for (let run = this.#lateRun(numbers()); run !== undefined; run = this.#lateRun(numbers())) {
      await this.#fetchRun(run, signal);
    }
  }

  /** Claims the next missing pieces that follow one another; where none is left, late ones. An origin without ranges is read once, from its first byte. */
  #nextRun(maxPieces: number): Run | undefined {
    const { progress, late } = this.#init;
    const numbers: number[] = [];
    const owned = new OwnedPieces();
    for (const number of progress.missing()) {
      const last = numbers.at(-1);
      if (!this.#wholeOnly && last !== undefined && (number !== last + 1 || numbers.length >= maxPieces)) break;
      if (!progress.claim(number, owned)) continue;
      numbers.push(number);
      owned.numbers.add(number);
    }
    return numbers.length === 0 ? this.#lateRun(late()) : { numbers, isLate: false, owned };
  }

  #lateRun(late: readonly number[]): Run | undefined {
    const numbers: number[] = [];
    for (const number of late) {
      const last = numbers.at(-1);
      if (this.#asked.has(number) || this.#init.progress.stored.finishedPieces.has(number)) continue;
      if (!this.#wholeOnly && last !== undefined && (number !== last + 1 || numbers.length >= MAX_RUN_PIECES)) break;
      this.#asked.add(number);
      numbers.push(number);
    }
    return numbers.length === 0 ? undefined : { numbers, isLate: true, owned: new OwnedPieces() };
  }

  async #fetchRun(
    { numbers, isLate, owned }: Run,
    signal: AbortSignal,
    { onBytes, onPiece }: { onBytes?: (bytes: number) => void; onPiece?: () => void } = {},
  ): Promise<void> {
    const { progress, origin, request, takeOver, limitersFor } = this.#init;
    const first = numbers[0] ?? 0;
    const last = numbers.at(-1) ?? first;
    const start = pieceRange(progress.layout, first).start;
    const { start: lastStart, length } = pieceRange(progress.layout, last);
    const range: ByteRange | undefined = this.#wholeOnly ? undefined : { start, length: lastStart + length - start };
    const wanted = new Set(numbers);
    const own = async (number: number): Promise<boolean> => {
      const mayTake = !owned.numbers.has(number) && isLate && wanted.has(number);
      if (mayTake && (await takeOver(number, owned))) owned.numbers.add(number);
      return owned.numbers.has(number);
    };
    const writer = new RunWriter(this.#init, own, this.#wholeOnly ? 0 : first);
    try {
      const body = await origin.fetch(request, range, { signal });
      for await (const chunk of body.chunks) {
        signal.throwIfAborted();
        for (const limiter of limitersFor(writer.number)) await limiter.take(chunk.length, { signal });
        const { number } = writer;
        await writer.take(chunk);
        if (writer.number > number) onPiece?.();
        onBytes?.(chunk.length);
        if (writer.number > last) break;
      }
      if (writer.number <= last) throw new OriginUnreachableError(request.url, 'the body ended early');
    } finally {
      // Our last write has landed: others may write these pieces.
      for (const number of owned.numbers) progress.unclaim(number, owned);
      owned.numbers.clear();
      for (const number of isLate ? numbers : []) this.#asked.delete(number);
    }
  }
}

/** Cuts a stream of bytes into pieces: hashes and writes those that are its own, lets the others pass. */
class RunWriter {
  readonly #init: OriginFetcherInit;
  readonly #own: (number: number) => Promise<boolean>;
  #number: number;
  #isOwn = false;
  #inPiece = 0;
  #crc = 0;
  #sha256: Hash | undefined;
  #startedAtMs: number;

  /** @param own asked when the first byte of a piece is here; false lets the piece pass */
  constructor(init: OriginFetcherInit, own: (number: number) => Promise<boolean>, firstNumber: number) {
    this.#init = init;
    this.#own = own;
    this.#number = firstNumber;
    this.#startedAtMs = init.clock();
  }

  /** The piece that the next byte belongs to. */
  get number(): number {
    return this.#number;
  }

  /** Resolves, or rejects, when the chunk is written and its memory may be used again. */
  async take(chunk: Uint8Array): Promise<void> {
    const { progress } = this.#init;
    const { layout, stored } = progress;
    for (let rest = chunk; rest.length > 0 && this.#number < layout.pieceCount;) {
      const piece = pieceRange(layout, this.#number);
      const part = rest.subarray(0, piece.length - this.#inPiece);
      rest = rest.subarray(part.length);
      if (this.#inPiece === 0) await this.#beginPiece();
      const position = piece.start + this.#inPiece;
      this.#inPiece += part.length;
      if (this.#isOwn) {
        const writing = stored.write(position, [part]);
        this.#crc = crc32(part, this.#crc); // meanwhile
        this.#sha256?.update(part);
        await writing;
        progress.wrote(this.#number, this.#inPiece);
      }
      if (this.#inPiece === piece.length) this.#finishPiece(piece);
    }
  }

  async #beginPiece(): Promise<void> {
    this.#isOwn = await this.#own(this.#number);
    this.#crc = 0;
    this.#sha256 = this.#isOwn && this.#init.wantsSha256(this.#number) ? createHash('sha256') : undefined;
  }

  #finishPiece(piece: ByteRange): void {
    const number = this.#number;
    if (this.#isOwn) {
      const now = this.#init.clock();
      const record: PieceRecord = {
        number,
        offset: piece.start,
        length: piece.length,
        digest: pieceDigest(this.#crc),
        sha256: this.#sha256?.digest('hex'),
        trafficType: 'backToSource',
        isVerified: true,
        costMs: now - this.#startedAtMs,
        createdAtMs: now,
      };
      this.#init.progress.finish(record);
      this.#init.onPiece(record);
    }
    this.#number++;
    this.#inPiece = 0;
    this.#startedAtMs = this.#init.clock();
  }
}
