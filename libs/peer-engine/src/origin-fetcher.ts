import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ByteRange, PieceRecord } from '@d7y/piece';
import { pieceDigest, pieceRange } from '@d7y/piece';
import type { ByteLimiter } from '@d7y/service-kit';
import type { OriginTurn, OriginTurns } from './origin-turns.ts';
import type { Origin, OriginRequest } from './ports/origin.ts';
import { OriginUnreachableError } from './ports/origin.ts';
import type { ClaimHolder, Progress } from './progress.ts';

/** Consecutive pieces asked for in one request: few requests, yet a seed's first pieces come early. */
const MAX_RUN_PIECES = 4;
/** Content up to this size is over before a turn would come. */
const SMALL_BYTES = 2 ** 20;

const FREE_TURN: OriginTurn = {
  isTrial: false,
  received: () => undefined,
  finished: () => undefined,
  [Symbol.dispose]: () => undefined,
};

export interface OriginFetcherInit {
  readonly origin: Origin;
  readonly request: OriginRequest;
  readonly progress: Progress;
  /** Requests at the same time, at most. */
  readonly concurrency: number;
  /** Shared with all other downloads of this host. */
  readonly turns: OriginTurns;
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

  /** Asks for a turn as long as something is missing; each turn is one request. */
  async #fetch(signal: AbortSignal): Promise<void> {
    const { concurrency, pace, clock } = this.#init;
    const failure = new AbortController();
    const either = AbortSignal.any([signal, failure.signal]);
    const maxRunning = this.#wholeOnly ? 1 : concurrency;
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    let running = 0;
    let isPaused = false;
    let wish: Disposable | undefined;
    const mayGoOn = (): boolean => {
      const pause = isPaused || either.aborted ? undefined : pace?.({ signal: either });
      if (pause === undefined) return !isPaused && !either.aborted;
      isPaused = true;
      void pause
        .catch(() => undefined)
        .finally(() => {
          isPaused = false;
          goOn();
        });
      return false;
    };
    const begin = (turn: OriginTurn): void => {
      // A trial is to be over soon: nothing that was asked for is cut off.
      const run = mayGoOn() ? this.#nextRun(turn.isTrial ? 1 : MAX_RUN_PIECES) : undefined;
      if (run === undefined) {
        turn[Symbol.dispose]();
        if (running === 0 && !isPaused) resolve();
        return;
      }
      running++;
      const onBytes = (bytes: number): void => turn.received(bytes, clock());
      this.#fetchRun(run, either, { onBytes, onPiece: () => turn.finished() })
        .catch((error: unknown) => failure.abort(error))
        .finally(() => {
          running--;
          turn[Symbol.dispose]();
          goOn();
        });
      goOn();
    };
    const goOn = (): void => {
      const isDone = either.aborted || this.#isNothingLeft;
      if (isDone) {
        wish?.[Symbol.dispose]();
        wish = undefined;
        if (running === 0 && !isPaused) resolve();
      } else if (wish === undefined && running < maxRunning && mayGoOn()) {
        let hasBegun = false;
        const asked = this.#ask((turn) => {
          hasBegun = true;
          wish = undefined;
          begin(turn);
        });
        if (!hasBegun) wish = asked;
      }
    };
    either.addEventListener('abort', goOn, { once: true });
    try {
      goOn();
      await settled;
    } finally {
      either.removeEventListener('abort', goOn);
    }
    signal.throwIfAborted();
    if (failure.signal.aborted) throw failure.signal.reason;
  }

  /** What is read in one go, or is over in no time, waits for nobody. */
  #ask(begin: (turn: OriginTurn) => void): Disposable | undefined {
    const { progress, turns, request } = this.#init;
    const { layout } = progress;
    if (this.#wholeOnly || layout.contentLength <= SMALL_BYTES) {
      begin(FREE_TURN);
      return undefined;
    }
    const missingBytes = (): number => progress.missing().size * layout.pieceLength;
    return turns.ask(new URL(request.url).origin, { missingBytes, begin });
  }

  get #isNothingLeft(): boolean {
    const { progress, late } = this.#init;
    return progress.missing().size === 0 && late().every((number) => this.#isAskedOrHere(number));
  }

  #isAskedOrHere(number: number): boolean {
    return this.#asked.has(number) || this.#init.progress.stored.finishedPieces.has(number);
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
      if (this.#isAskedOrHere(number)) continue;
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
