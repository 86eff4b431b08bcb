import type { OfferedTurn, TurnClient, TurnSeat } from '@d7y/peer-protocol';
import type { ReadonlyPieceSet } from '@d7y/piece';
import type { TurnReason } from '@d7y/swarm';
import type { IntakeBoard } from './intake-board.ts';
import type { ChosenPiece, PieceChoice } from './piece-choice.ts';
import type { Progress } from './progress.ts';
import type { ParentState } from './task-parents.ts';

export interface TurnTakingInit {
  readonly turns: TurnClient | undefined;
  readonly intake: IntakeBoard;
  readonly progress: Progress;
  readonly choice: PieceChoice;
  /** Pieces that readers wait for, the most urgent first. */
  readonly urgent: () => Iterable<number>;
  /** Pieces that few in the swarm have, where somebody said so. */
  readonly hotPieces: () => ReadonlyPieceSet | undefined;
  /** After so long with nothing under way parents are asked that want to be waited for, in ms. */
  readonly waitMs: number;
  /** Asks for a piece because of an offer. */
  readonly take: (chosen: ChosenPiece, turn: OfferedTurn) => void;
  /** The parent says that it is there, and serves others. */
  readonly onServing: (state: ParentState) => void;
  /** Parents may be asked that could not before. */
  readonly onRule: () => void;
}

/**
 * Turns that parents of one task offer: which parents are to be waited for, and which piece to name when an offer comes. A piece is chosen
 * when it can be sent, of all that the parent has by then. Owns the seats at the parents.
 */
export class TurnTaking {
  readonly #init: TurnTakingInit;
  readonly #seats = new Map<ParentState, TurnSeat>();
  /** Nothing has been under way since then, though something is to be had. */
  #waiting: NodeJS.Timeout | undefined;
  #isTired = false;

  constructor(init: TurnTakingInit) {
    this.#init = init;
  }

  /** The parent is to be waited for. */
  isWaitedFor(state: ParentState): boolean {
    return state.turn === 'unknown' || state.turn === 'wait';
  }

  /** Waiting has brought nothing for long: all are asked as if there were no turns. */
  get isTired(): boolean {
    return this.#isTired;
  }

  /** It is known where the parent serves pieces. */
  met(state: ParentState): void {
    const { turns, progress } = this.#init;
    const { address } = state;
    if (turns === undefined || address?.takesTurns !== true || this.#seats.has(state)) return;
    // What is one piece is sent before it could be offered.
    if (progress.layout.pieceCount === 1) return;
    state.turn = 'unknown';
    const seat = turns.follow(address, progress.stored.taskId, {
      ruled: (mustWait) => {
        state.turn = mustWait ? 'wait' : 'free';
        if (!mustWait) this.#init.onRule();
      },
      serving: () => this.#init.onServing(state),
      offered: (reason, turn) => this.#offered(state, reason, turn),
    });
    this.#seats.set(state, seat);
  }

  left(state: ParentState): void {
    this.#seats.get(state)?.[Symbol.dispose]();
    this.#seats.delete(state);
  }

  /** What is wanted, or who has it, has changed. @param isBusy pieces are under way */
  refresh(isBusy: boolean): void {
    const missing = this.#init.progress.missing();
    let isAnyWanted = false;
    for (const [state, seat] of this.#seats) {
      const isWanted = !state.isStalling && this.#init.choice.hasAnyOf(state, missing);
      isAnyWanted ||= isWanted && this.isWaitedFor(state);
      seat.wants(isWanted);
    }
    if (isBusy || !isAnyWanted) {
      clearTimeout(this.#waiting);
      this.#waiting = undefined;
      this.#isTired = false;
      return;
    }
    this.#waiting ??= setTimeout(() => {
      this.#isTired = true;
      this.#init.onRule();
    }, this.#init.waitMs).unref();
  }

  stop(): void {
    clearTimeout(this.#waiting);
    for (const seat of this.#seats.values()) seat[Symbol.dispose]();
    this.#seats.clear();
  }

  #offered(state: ParentState, reason: TurnReason, turn: OfferedTurn): boolean {
    const { intake, progress, choice, urgent, hotPieces, take } = this.#init;
    if (!intake.takes(reason) || state.isStalling) return false;
    const chosen = choice.pickFrom(state, { wanted: progress.missing(), urgent, hot: hotPieces() });
    if (chosen === undefined) return false;
    take(chosen, turn);
    return true;
  }
}
