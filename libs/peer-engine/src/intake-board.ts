import type { TurnClient } from '@d7y/peer-protocol';
import type { ByteLimiter } from '@d7y/service-kit';
import { Intake, type TurnReason } from '@d7y/swarm';

/** A piece that comes, or is about to, until disposed. Stands among the limits of its transfer to see its bytes, and never makes it wait. */
export interface IncomingPiece extends ByteLimiter, Disposable {}

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

  /** @param isExpected it was asked for after an offer, and counts at once; otherwise from its first bytes on */
  incoming(lengthBytes: number, isExpected: boolean): IncomingPiece {
    let transfer = isExpected ? this.#intake.begin(lengthBytes, this.#clock()) : undefined;
    let isOver = false;
    if (isExpected) this.#tell();
    const overdue = isExpected ? setTimeout(() => this.#tell(), this.#intake.beginMs + 1).unref() : undefined;
    return {
      take: (bytes) => {
        if (isOver) return undefined;
        const nowMs = this.#clock();
        transfer ??= this.#intake.begin(lengthBytes, nowMs);
        this.#intake.received(transfer, bytes, nowMs);
        this.#tell();
        return undefined;
      },
      [Symbol.dispose]: () => {
        isOver = true;
        clearTimeout(overdue);
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
