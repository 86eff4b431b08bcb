import type { Logger } from '@d7y/service-kit';
import type { LatePolicy, TransferState } from './lateness.ts';
import { isLate, isOverdue, isStuck, remainingMs, silenceOf } from './lateness.ts';
import type { ParentStandings } from './parent-standing.ts';
import type { PieceRace, Runner } from './piece-race.ts';
import { RaceLostError, stateOf } from './piece-race.ts';
import type { Progress } from './progress.ts';
import type { ParentState, TaskParents } from './task-parents.ts';

/** Pieces asked of a second parent at the same time, beside those that are asked of one. */
const MAX_HEDGES = 4;
/** How often transfers are looked at, in ms. */
const CHECK_MS = 50;

/** A transfer, with the parent that is asked. */
export interface PeerRunner extends Runner {
  readonly state: ParentState;
  isLate: boolean;
  /** Nothing comes from it: others may be asked for more meanwhile. */
  readonly onStuck: () => void;
}

/** A piece that is being fetched from parents. */
export interface UnderWay {
  readonly race: PieceRace;
  readonly runners: Set<PeerRunner>;
  /** Peer ids of all who were asked for it. */
  readonly asked: Set<string>;
}

export interface HedgingInit {
  readonly progress: Progress;
  readonly parents: TaskParents;
  readonly standings: ParentStandings;
  readonly latePolicy: LatePolicy;
  readonly logger: Logger;
  readonly clock: () => number;
  readonly signal: AbortSignal;
  /** Pieces under way, by number. */
  readonly underWay: ReadonlyMap<number, UnderWay>;
  /** Asks one more parent for a piece. */
  readonly ask: (pieceNumber: number, state: ParentState) => void;
  /** There are late pieces that no other parent has; said again while that is so. */
  readonly onLate: () => void;
}

/** Watches the transfers of a task, and has what is late asked of other parents as well. */
export class Hedging {
  readonly #init: HedgingInit;
  #checks: NodeJS.Timeout | undefined;

  constructor(init: HedgingInit) {
    this.#init = init;
  }

  /** There is something to watch. */
  start(): void {
    this.#checks ??= setInterval(() => this.#check(), CHECK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#checks);
    this.#checks = undefined;
  }

  /** Pieces under way that are stuck with all who were asked, and that nobody else has. */
  latePieces(): number[] {
    const late: number[] = [];
    for (const number of this.#init.underWay.keys()) if (this.#isHopeless(number)) late.push(number);
    return late;
  }

  #isHopeless(number: number): boolean {
    const under = this.#init.underWay.get(number);
    if (under === undefined || under.race.isOver) return false;
    const { race, runners, asked } = under;
    const { originSilenceMs: silenceMs, floorBytesPerSec } = this.#init.latePolicy;
    return (
      [...runners].every((runner) => isStuck(this.#stateOf(race, runner), { silenceMs, floorBytesPerSec })) &&
      !this.#init.parents.choice.hasOtherHolder(number, asked)
    );
  }

  /** How a transfer stands; what waits for its turn at a host that sends us other pieces, of whatever task, is not late. */
  #stateOf({ range }: PieceRace, runner: PeerRunner): TransferState {
    const transfer = stateOf(range, runner);
    if (transfer.bytes > 0) return { ...transfer, elapsedMs: runner.meter.flowingMs };
    const fedMs = this.#init.clock() - this.#init.standings.fedAtMs(runner.state.parent.hostId);
    return { ...transfer, elapsedMs: silenceOf(transfer.elapsedMs, fedMs) };
  }

  #noteFed(): void {
    for (const { runners } of this.#init.underWay.values()) {
      for (const { meter, state, isLate: wasLate } of runners) {
        if (wasLate || meter.bytesPerSec < this.#init.latePolicy.floorBytesPerSec) continue;
        this.#init.standings.fed(state.parent.hostId, this.#init.clock());
      }
    }
  }

  /** Looks at what is under way: what is late is asked of a second parent; when both are late, of a third in place of the slower one. */
  #check(): void {
    const { progress, standings, latePolicy, signal } = this.#init;
    if (signal.aborted) return;
    const isEndgame = progress.missing().size === 0;
    let hedges = 0;
    for (const { runners } of this.#init.underWay.values()) hedges += Math.max(runners.size - 1, 0);
    let isHelpNeeded = false;
    this.#noteFed();
    for (const [number, { race, runners, asked }] of this.#init.underWay) {
      for (const runner of runners) {
        if (isOverdue(stateOf(race.range, runner), latePolicy)) this.#end(race, runner);
        if (isStuck(this.#stateOf(race, runner), latePolicy)) {
          runner.state.isStalling = true;
          runner.onStuck();
        }
        runner.isLate ||= isLate(this.#stateOf(race, runner), standings.typicalBytesPerSec, isEndgame, latePolicy);
      }
      if (race.isOver || ![...runners].every((runner) => runner.isLate)) continue;
      const other = this.#init.parents.choice.pickOther(number, asked);
      isHelpNeeded ||= other === undefined && this.#isHopeless(number);
      if (other === undefined || (runners.size === 1 && hedges >= MAX_HEDGES)) continue;
      if (runners.size > 1) slowest(race, runners)?.stop.abort(new RaceLostError(number));
      else hedges++;
      this.#init.ask(number, other);
    }
    if (isHelpNeeded) this.#init.onLate();
  }

  /** A transfer that should have ended by itself long ago. */
  #end(race: PieceRace, { stop, state, meter }: PeerRunner): void {
    if (stop.signal.aborted) return;
    const { progress, logger } = this.#init;
    logger.error(
      { taskId: progress.stored.taskId, piece: race.pieceNumber, parent: state.parent.hostId, bytes: meter.bytes },
      'a transfer has outlived all its bounds: a fault of this program; its piece is asked for again',
    );
    stop.abort(new RaceLostError(race.pieceNumber));
  }
}

function slowest(race: PieceRace, runners: Iterable<PeerRunner>): PeerRunner | undefined {
  let worst: PeerRunner | undefined;
  let worstMs = -1;
  for (const runner of runners) {
    const ms = remainingMs(stateOf(race.range, runner));
    if (ms > worstMs) [worst, worstMs] = [runner, ms];
  }
  return worst;
}
