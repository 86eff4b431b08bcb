import { LinkUse } from './link-use.ts';
import {
  boundedLeadMs,
  isOpenForTurns,
  type LinkLoad,
  mayTakeTurn,
  TURN_RULES,
  turnsAtOnce,
  typicalDuration,
} from './upload-turns.ts';

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
  /** When its first bytes came. */
  beganAtMs: number | undefined;
  /** How many these were. */
  firstBytes: number;
  /** When its last bytes came. */
  lastAtMs: number;
}

/** A transfer is given so long to come up to speed, in ms; until then it is taken to fill the link. */
const SETTLED_MS = 500;
/** So little of a piece counts as nothing: bytes are told of by half a MiB, and a shorter time than that takes cannot be seen. */
const LEAD_SHARE = 1 / 8;
/** Saying that the next piece may come, its offer and the request for it take as many times as long as the first bytes after that. */
const LEAD_ANSWERS = 3;
/** How much a new measurement of the time from taking an offer to the first bytes counts against all before it. */
const SMOOTHING = 0.3;

/**
 * What a host receives at this moment, as the rules of turns want to know it. How fast its link is nobody says: it is judged by the most that
 * came of late.
 */
export class Intake {
  readonly #transfers = new Set<IntakeTransfer>();
  readonly #link = new LinkUse();
  /** How long before the end of a piece the next one must be looked for to follow without a gap, in ms. */
  #leadMs = TURN_RULES.leadMs;
  /** From taking an offer to what would have been the first byte, near the least of late, and how long a piece takes then; 0 while unknown. */
  #answerMs = 0;
  #pieceMs = 0;

  /** A piece is coming, or was asked for after an offer. */
  begin(lengthBytes: number, nowMs: number): IntakeTransfer {
    const transfer: IntakeTransfer = {
      lengthBytes,
      sinceMs: nowMs,
      bytes: 0,
      beganAtMs: undefined,
      firstBytes: 0,
      lastAtMs: nowMs,
    };
    this.#transfers.add(transfer);
    return transfer;
  }

  received(transfer: IntakeTransfer, bytes: number, nowMs: number): void {
    if (transfer.beganAtMs === undefined) {
      transfer.beganAtMs = nowMs;
      transfer.firstBytes = bytes;
    }
    transfer.bytes += bytes;
    transfer.lastAtMs = nowMs;
    if (transfer.bytes >= transfer.lengthBytes) this.#measure(transfer, transfer.beganAtMs, nowMs);
    this.#link.moved(bytes, nowMs);
  }

  #measure({ lengthBytes, firstBytes, sinceMs }: IntakeTransfer, beganAtMs: number, nowMs: number): void {
    // What came at once took no time that could be seen.
    if (firstBytes >= lengthBytes || nowMs <= beganAtMs) return;
    const msPerByte = (nowMs - beganAtMs) / (lengthBytes - firstBytes);
    this.#pieceMs += (msPerByte * lengthBytes - this.#pieceMs) * (this.#pieceMs === 0 ? 1 : SMOOTHING);
    // Nobody was waited for by what came without an offer.
    if (beganAtMs === sinceMs) return;
    const answerMs = Math.max(beganAtMs - sinceMs - msPerByte * firstBytes, 0);
    this.#answerMs = typicalDuration(this.#answerMs, answerMs);
    this.#leadMs = boundedLeadMs(this.#leadMs + (answerMs * LEAD_ANSWERS - this.#leadMs) * SMOOTHING);
  }

  /**
   * How long the rest will take to come, at the rate so far, in ms; Infinity while less than half is here. Bytes are told of by the MiB: what has
   * come since the last ones is taken from the time that has passed.
   */
  leftMs({ lengthBytes, bytes, firstBytes, beganAtMs, lastAtMs }: IntakeTransfer, nowMs: number): number {
    if (bytes >= lengthBytes) return 0;
    if (beganAtMs === undefined || bytes <= firstBytes || bytes * 2 < lengthBytes) return Infinity;
    const msPerByte = (lastAtMs - beganAtMs) / (bytes - firstBytes);
    return Math.max((lengthBytes - bytes) * msPerByte - (nowMs - lastAtMs), 0);
  }

  /** In so many ms the transfer counts no more, if it goes on as it does; Infinity when that cannot be said. */
  settlesInMs(transfer: IntakeTransfer, nowMs: number): number {
    return Math.max(this.leftMs(transfer, nowMs) - this.#leadMs, 0);
  }

  /** It is here, or comes no more. */
  end(transfer: IntakeTransfer): void {
    this.#transfers.delete(transfer);
  }

  /** A piece that was asked for after an offer, and does not begin to come in so many ms, counts no more until it does. */
  get beginMs(): number {
    return Math.max(TURN_RULES.beginMs, 2 * this.#leadMs);
  }

  level(nowMs: number): IntakeLevel {
    const downlink = this.#downlink(nowMs);
    if (downlink.promised + downlink.running === 0) return 'idle';
    return isOpenForTurns(downlink) ? 'open' : 'full';
  }

  /** Whether one more piece is welcome. */
  takes(reason: TurnReason, nowMs: number): boolean {
    const downlink = this.#downlink(nowMs);
    // The offer does not say when the holder's uplink is free: it is as good as free.
    if (mayTakeTurn(downlink, Infinity, { isFromSource: reason === 'fresh', inMs: 0 })) return true;
    return reason === 'resting' && downlink.promised === 0 && downlink.running < TURN_RULES.maxReceiving;
  }

  #downlink(nowMs: number): LinkLoad {
    let taken = 0;
    let receiving = 0;
    let isSettled = true;
    for (const transfer of this.#transfers) {
      const { lengthBytes, bytes, sinceMs, beganAtMs } = transfer;
      if (beganAtMs === undefined) {
        // One that brings nothing for long waits in a line, and must not keep others from sending.
        if (nowMs - sinceMs < this.beginMs) taken++;
        continue;
      }
      if (lengthBytes - bytes <= lengthBytes * LEAD_SHARE || this.leftMs(transfer, nowMs) <= this.#leadMs) continue;
      receiving++;
      isSettled &&= nowMs - beganAtMs >= SETTLED_MS;
    }
    const areSlow = isSettled && receiving > 0 && this.#link.use(nowMs) < TURN_RULES.enoughUse;
    const atOnce = turnsAtOnce(this.#answerMs, this.#pieceMs);
    return { promised: taken, running: receiving, areSlow, atOnce };
  }
}
