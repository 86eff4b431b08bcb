import { LinkUse } from './link-use.ts';

/** How much a host receives, over all its tasks: nothing; less than it could; as much as it wants. */
export type IntakeLevel = 'idle' | 'open' | 'full';

/**
 * Why a turn is offered: it is the child's; the holder has what nobody else has; nobody receives less, and the holder's link has been at rest.
 * The last two are worth taking by a child that receives something already.
 */
export type TurnReason = 'turn' | 'fresh' | 'resting';

/** A piece that comes, or is about to. */
export interface IntakeTransfer {
  readonly lengthBytes: number;
  /** When it was asked for, after an offer, or began to come. */
  readonly sinceMs: number;
  bytes: number;
}

/** Pieces received at once at the most, when their senders are slow or have nobody else. */
const MAX_RECEIVING = 4;
/** The same for what nobody else has. */
const MAX_WITH_FRESH = 2;
/** A link of which so much is in use is full. */
const ENOUGH_USE = 0.6;
/** A transfer is given so long to come up to speed, in ms. */
const SETTLED_MS = 500;
/** What is left of a piece counts no more when it will be here in so many ms, or is so little: by then the next one may begin. */
const LEAD_MS = 10;
const LEAD_SHARE = 1 / 8;

/** What a host receives at this moment, and so whether it takes another piece. One piece at a time is whole soonest, and passed on. */
export class Intake {
  readonly #transfers = new Set<IntakeTransfer>();
  readonly #link = new LinkUse();

  /** A piece is coming, or was asked for after an offer. */
  begin(lengthBytes: number, nowMs: number): IntakeTransfer {
    const transfer: IntakeTransfer = { lengthBytes, sinceMs: nowMs, bytes: 0 };
    this.#transfers.add(transfer);
    return transfer;
  }

  received(transfer: IntakeTransfer, bytes: number, nowMs: number): void {
    transfer.bytes += bytes;
    this.#link.moved(bytes, nowMs);
  }

  /** It is here, or comes no more. */
  end(transfer: IntakeTransfer): void {
    this.#transfers.delete(transfer);
  }

  level(nowMs: number): IntakeLevel {
    const heavy = this.#heavy(nowMs);
    if (heavy.length === 0) return 'idle';
    const isSlow = heavy.every(({ sinceMs }) => nowMs - sinceMs >= SETTLED_MS) && this.#link.use(nowMs) < ENOUGH_USE;
    return isSlow && heavy.length < MAX_RECEIVING ? 'open' : 'full';
  }

  /** Whether one more piece is welcome. */
  takes(reason: TurnReason, nowMs: number): boolean {
    if (this.level(nowMs) !== 'full') return true;
    if (reason === 'turn') return false;
    return this.#heavy(nowMs).length < (reason === 'fresh' ? MAX_WITH_FRESH : MAX_RECEIVING);
  }

  /** Those that are not nearly here. */
  #heavy(nowMs: number): IntakeTransfer[] {
    return [...this.#transfers].filter(({ lengthBytes, bytes, sinceMs }) => {
      const left = lengthBytes - bytes;
      const bytesPerMs = bytes / Math.max(nowMs - sinceMs, 1);
      return left > lengthBytes * LEAD_SHARE && left > bytesPerMs * LEAD_MS;
    });
  }
}
