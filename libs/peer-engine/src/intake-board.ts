import type { OfferedTurn, TurnClient } from '@d7y/peer-protocol';
import type { ByteLimiter } from '@d7y/service-kit';
import { Intake, TURN_RULES, type TurnReason } from '@d7y/swarm';

/** A piece that comes, or is about to, until disposed. Stands among the limits of its transfer to see its bytes, and never makes it wait. */
export interface IncomingPiece extends ByteLimiter, Disposable {}

/** So far ahead the end of a piece is foreseen, in ms: parents are told then, and give their next turn when they like. */
const FORESEEN_MS = TURN_RULES.mostLeadMs;

/** What this host receives at this moment, over all tasks; parents who offer turns hear how much that is. */
export class IntakeBoard {
  readonly #intake = new Intake();
  readonly #turns: Pick<TurnClient, 'setLevel'> | undefined;
  readonly #clock: () => number;

  /** @param clock in ms */
  constructor(turns: Pick<TurnClient, 'setLevel'> | undefined, clock: () => number) {
    this.#turns = turns;
    this.#clock = clock;
  }

  /** Whether one more piece is welcome. */
  takes(reason: TurnReason): boolean {
    return this.#intake.takes(reason, this.#clock());
  }

  /** @param turn it was asked for after an offer, and counts at once; otherwise from its first bytes on */
  incoming(lengthBytes: number, turn: OfferedTurn | undefined): IncomingPiece {
    let transfer = turn && this.#intake.begin(lengthBytes, this.#clock());
    if (turn !== undefined) this.#tell();
    const overdue = turn && setTimeout(() => this.#tell(), this.#intake.beginMs + 1).unref();
    let settling: NodeJS.Timeout | undefined;
    let isOver = false;
    let isEndTold = false;
    const tellEnd = (inMs: number): void => {
      if (!isEndTold) turn?.endsIn(inMs);
      isEndTold = true;
    };
    return {
      take: (bytes) => {
        if (isOver) return undefined;
        const nowMs = this.#clock();
        transfer ??= this.#intake.begin(lengthBytes, nowMs);
        this.#intake.received(transfer, bytes, nowMs);
        const leftMs = this.#intake.leftMs(transfer, nowMs);
        if (leftMs <= FORESEEN_MS) tellEnd(leftMs);
        this.#tell();
        // Bytes come in long strides: it may count no more before the next ones are here.
        clearTimeout(settling);
        const settlesInMs = this.#intake.settlesInMs(transfer, nowMs);
        if (settlesInMs > 0 && settlesInMs <= FORESEEN_MS)
          settling = setTimeout(() => this.#tell(), settlesInMs + 1).unref();
        return undefined;
      },
      [Symbol.dispose]: () => {
        isOver = true;
        clearTimeout(overdue);
        clearTimeout(settling);
        tellEnd(0);
        if (transfer === undefined) return;
        this.#intake.end(transfer);
        this.#tell();
      },
    };
  }

  #tell(): void {
    this.#turns?.setLevel(this.#intake.level(this.#clock()));
  }
}
