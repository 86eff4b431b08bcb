import type { PieceSink, SinkFile } from '@d7y/peer-protocol';
import type { ByteRange } from '@d7y/piece';
import { DfError } from '@d7y/piece';
import type { TransferState } from './lateness.ts';
import { remainingMs } from './lateness.ts';
import type { TransferMeter } from './transfer-meter.ts';

/** A transfer is not needed: another one brings the piece, or has brought it. */
export class RaceLostError extends DfError {
  override readonly name = 'RaceLostError';
  readonly code = 'RACE_LOST';
  readonly retryable = false;
  constructor(pieceNumber: number) {
    super(`piece ${pieceNumber} comes from somebody else`);
  }
}

/** One transfer of the piece. */
export interface Runner {
  readonly meter: TransferMeter;
  readonly stop: AbortController;
  /** What may be expected of it before its first byte. */
  readonly expectedBytesPerSec: number;
  /** Resolves when no write of this transfer can come any more, whatever became of it. */
  readonly settled: Promise<void>;
}

/**
 * One piece, asked of one parent and, when that is late, of another. Owner of the right to write it: one transfer at a time has it, so that
 * bytes of two never mix. A second one gets it when its first bytes are here and it will be done sooner; the first is then cancelled, and
 * its last write has landed, before the second writes from the start of the piece. So whoever is recorded has written every byte.
 */
export class PieceRace {
  readonly pieceNumber: number;
  readonly range: ByteRange;
  readonly runners = new Set<Runner>();
  readonly #store: PieceSink;
  #writer: Runner | undefined;
  #handover: Promise<void> = Promise.resolve();
  #isOver = false;

  /** @param store where the winner's bytes go */
  constructor(pieceNumber: number, range: ByteRange, store: PieceSink) {
    this.pieceNumber = pieceNumber;
    this.range = range;
    this.#store = store;
  }

  /** It is decided, or was taken away: nobody may join. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Where the bytes of a runner go. */
  sinkOf(runner: Runner): PieceSink {
    const write: PieceSink['write'] = async (position, bytes) => {
      const length = bytes.reduce((sum, { byteLength }) => sum + byteLength, 0);
      runner.meter.reached(position - this.range.start + length);
      await this.#acquire(runner);
      await runner.meter.during(this.#store.write(position, bytes));
    };
    return this.#store.openFile === undefined ? { write } : { write, openFile: () => this.#openFile(runner) };
  }

  async #openFile(runner: Runner): Promise<SinkFile> {
    await this.#acquire(runner);
    const file = await (this.#store.openFile as () => Promise<SinkFile>)();
    if (!runner.stop.signal.aborted) {
      const wrote = (ms: number): void => {
        file.wrote(ms);
        runner.meter.waited(ms);
      };
      return {
        fd: file.fd,
        wrote,
        recover: (error) => file.recover(error),
        [Symbol.dispose]: () => file[Symbol.dispose](),
      };
    }
    file[Symbol.dispose]();
    throw new RaceLostError(this.pieceNumber);
  }

  /** Waits for the right to write. */
  async #acquire(runner: Runner): Promise<void> {
    if (this.#writer !== runner) await runner.meter.during(this.#takeOver(runner));
    // Once it has the right, only a runner that was told to stop loses it, and not before its last write has landed.
    if (runner.stop.signal.aborted) throw new RaceLostError(this.pieceNumber);
  }

  /** The runner has the whole piece, and it is right. @returns false when another one was first */
  win(runner: Runner): boolean {
    if (this.#isOver || this.#writer !== runner) return false;
    this.#isOver = true;
    this.#stopAll(runner);
    return true;
  }

  /** The runner failed or was stopped. */
  drop(runner: Runner): void {
    this.runners.delete(runner);
    if (this.#writer === runner) this.#writer = undefined;
  }

  /** Takes the piece from all runners. Resolves when none of them can write any more; true when none had finished it by then. */
  async cede(): Promise<boolean> {
    if (this.#isOver) return false;
    this.#isOver = true;
    const runners = [...this.runners];
    this.#stopAll(undefined);
    await Promise.all(runners.map(({ settled }) => settled));
    return true;
  }

  #stopAll(except: Runner | undefined): void {
    for (const runner of this.runners) {
      if (runner !== except) runner.stop.abort(new RaceLostError(this.pieceNumber));
    }
  }

  /** How long a runner still takes; a guess before its first byte, when all it has is an answer. */
  #estimateMs(runner: Runner): number {
    const { bytes } = runner.meter;
    if (bytes === 0 && runner !== this.#writer) return (this.range.length * 1000) / runner.expectedBytesPerSec;
    return remainingMs(stateOf(this.range, runner));
  }

  /** One after the other: whoever waits decides on what the one before it left. @throws {RaceLostError} */
  #takeOver(runner: Runner): Promise<void> {
    const turn = this.#handover.then(async () => {
      const holder = this.#writer;
      if (this.#isOver || runner.stop.signal.aborted) throw new RaceLostError(this.pieceNumber);
      if (holder !== undefined) {
        if (this.#estimateMs(holder) <= this.#estimateMs(runner)) {
          throw new RaceLostError(this.pieceNumber);
        }
        holder.stop.abort(new RaceLostError(this.pieceNumber));
        await holder.settled;
        // It may have come to its end before it heard of it.
        if (this.#isOver || runner.stop.signal.aborted) throw new RaceLostError(this.pieceNumber);
      }
      this.#writer = runner;
    });
    this.#handover = turn.catch(() => undefined);
    return turn;
  }
}

/** How a runner stands. */
export function stateOf({ length }: ByteRange, { meter }: Runner): TransferState {
  const { bytes, elapsedMs, bytesPerSec } = meter;
  return { lengthBytes: length, bytes, elapsedMs, bytesPerSec };
}
