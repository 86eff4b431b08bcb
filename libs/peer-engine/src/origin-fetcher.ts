import { crc32 } from 'node:zlib';
import type { ByteRange, PieceRecord } from '@d7y/piece';
import { pieceDigest, pieceRange } from '@d7y/piece';
import type { Origin, OriginRequest } from './ports/origin.ts';
import { OriginUnreachableError } from './ports/origin.ts';
import type { Progress } from './progress.ts';

/** Bytes gathered before they are written in one go. */
const WRITE_BATCH_BYTES = 512 * 1024;
/** Consecutive pieces asked for in one request: few requests, yet a seed's first pieces come early. */
const MAX_RUN_PIECES = 4;

export interface OriginFetcherInit {
  readonly origin: Origin;
  readonly request: OriginRequest;
  readonly progress: Progress;
  /** Requests at the same time, at most. */
  readonly concurrency: number;
  /** Unix time in ms. */
  readonly clock: () => number;
  /** A piece is here; reports go from there. */
  readonly onPiece: (piece: PieceRecord) => void;
}

/** Fetches the missing pieces of a task from its origin, each byte once. */
export class OriginFetcher {
  readonly #init: OriginFetcherInit;
  #running: Promise<void> | undefined;

  constructor(init: OriginFetcherInit) {
    this.#init = init;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /**
   * Resolves when nothing is missing any more that somebody else is not fetching already. Calls join.
   * @throws what the origin throws, for the first request that fails; the others are cut short
   */
  async fetchMissing({ signal }: { signal: AbortSignal }): Promise<void> {
    this.#running ??= this.#fetch(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Resolves when nothing is being fetched, whatever became of it. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const failure = new AbortController();
    const either = AbortSignal.any([signal, failure.signal]);
    const wholeOnly = this.#init.progress.stored.responseHeaders['accept-ranges'] === 'none';
    const worker = async (): Promise<void> => {
      try {
        for (let run = this.#nextRun(wholeOnly); run !== undefined; run = this.#nextRun(wholeOnly)) {
          await this.#fetchRun(run, wholeOnly, either);
        }
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    };
    const workers = Array.from({ length: wholeOnly ? 1 : this.#init.concurrency }, worker);
    const results = await Promise.allSettled(workers);
    signal.throwIfAborted();
    if (results.some(({ status }) => status === 'rejected')) throw failure.signal.reason;
  }

  /** Claims the next missing pieces that follow one another. An origin without ranges is read once, from its first byte. */
  #nextRun(wholeOnly: boolean): number[] | undefined {
    const { progress } = this.#init;
    const run: number[] = [];
    for (const number of progress.missing()) {
      const last = run.at(-1);
      if (!wholeOnly && last !== undefined && (number !== last + 1 || run.length >= MAX_RUN_PIECES)) break;
      if (progress.claim(number)) run.push(number);
    }
    return run.length === 0 ? undefined : run;
  }

  async #fetchRun(run: readonly number[], wholeOnly: boolean, signal: AbortSignal): Promise<void> {
    const { progress, origin, request } = this.#init;
    const first = run[0] ?? 0;
    const last = run.at(-1) ?? first;
    const start = pieceRange(progress.layout, first).start;
    const { start: lastStart, length } = pieceRange(progress.layout, last);
    const range: ByteRange | undefined = wholeOnly ? undefined : { start, length: lastStart + length - start };
    const writer = new RunWriter(this.#init, new Set(run), wholeOnly ? 0 : first);
    try {
      const body = await origin.fetch(request, range, { signal });
      for await (const chunk of body.chunks) {
        signal.throwIfAborted();
        await writer.take(chunk);
        if (writer.isPast(last)) break;
      }
      if (!writer.isPast(last)) throw new OriginUnreachableError(request.url, 'the body ended early');
    } finally {
      // Nobody else may write a piece before our last write to it has landed.
      await writer.settled();
      for (const number of run) progress.unclaim(number);
    }
  }
}

/** Cuts a stream of bytes into pieces: hashes, batches and writes those that were claimed, lets the others pass. */
class RunWriter {
  readonly #init: OriginFetcherInit;
  readonly #claimed: ReadonlySet<number>;
  #number: number;
  #inPiece = 0;
  #crc = 0;
  #startedAtMs: number;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(init: OriginFetcherInit, claimed: ReadonlySet<number>, firstNumber: number) {
    this.#init = init;
    this.#claimed = claimed;
    this.#number = firstNumber;
    this.#startedAtMs = init.clock();
  }

  isPast(lastNumber: number): boolean {
    return this.#number > lastNumber;
  }

  /** Resolves when no write is under way, whatever became of it. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }

  async take(chunk: Uint8Array): Promise<void> {
    const { layout } = this.#init.progress;
    for (let rest = chunk; rest.length > 0 && this.#number < layout.pieceCount;) {
      const piece = pieceRange(layout, this.#number);
      const part = rest.subarray(0, piece.length - this.#inPiece);
      rest = rest.subarray(part.length);
      if (this.#claimed.has(this.#number)) {
        this.#crc = crc32(part, this.#crc);
        this.#batch.push(part);
        this.#batchBytes += part.length;
      }
      this.#inPiece += part.length;
      const isPieceDone = this.#inPiece === piece.length;
      if (isPieceDone || this.#batchBytes >= WRITE_BATCH_BYTES) await this.#flush(piece);
      if (isPieceDone) await this.#finishPiece(piece);
    }
  }

  /** Starts writing what has been gathered, once the write before it is done: two batches at most are in memory. */
  async #flush(piece: ByteRange): Promise<void> {
    const { progress } = this.#init;
    const [batch, number, end] = [this.#batch, this.#number, this.#inPiece];
    const position = piece.start + end - this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    await this.#writing;
    if (batch.length === 0) return;
    this.#writing = progress.stored.write(position, batch).then(() => progress.wrote(number, end));
    // The next flush or the end of the piece looks at the outcome.
    this.#writing.catch(() => undefined);
  }

  async #finishPiece(piece: ByteRange): Promise<void> {
    const number = this.#number;
    await this.#writing;
    if (this.#claimed.has(number)) {
      const now = this.#init.clock();
      const record: PieceRecord = {
        number,
        offset: piece.start,
        length: piece.length,
        digest: pieceDigest(this.#crc),
        trafficType: 'backToSource',
        costMs: now - this.#startedAtMs,
        createdAtMs: now,
      };
      this.#init.progress.finish(record);
      this.#init.onPiece(record);
    }
    this.#number++;
    this.#inPiece = 0;
    this.#crc = 0;
    this.#startedAtMs = this.#init.clock();
  }
}
