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
}

/** A transfer is given so long to come up to speed, in ms; until then it is taken to fill the link. */
const SETTLED_MS = 500;
/** So little of a piece counts as nothing: bytes are told of by half a MiB, and a shorter time than that takes cannot be seen. */
const LEAD_SHARE = 1 / 8;
/** While so much of a piece is still to come it counts whatever the lead. */
const MOST_LEAD_SHARE = 1 / 2;
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
    const transfer: IntakeTransfer = { lengthBytes, sinceMs: nowMs, bytes: 0, beganAtMs: undefined, firstBytes: 0 };
    this.#transfers.add(transfer);
    return transfer;
  }

  received(transfer: IntakeTransfer, bytes: number, nowMs: number): void {
    if (transfer.beganAtMs === undefined) {
      transfer.beganAtMs = nowMs;
      transfer.firstBytes = bytes;
      const waitedMs = nowMs - transfer.sinceMs;
      const leadMs = this.#leadMs + (waitedMs - this.#leadMs) * SMOOTHING;
      if (waitedMs > 0) this.#leadMs = boundedLeadMs(leadMs);
    }
    transfer.bytes += bytes;
    if (transfer.bytes >= transfer.lengthBytes) this.#measure(transfer, transfer.beganAtMs, nowMs);
    this.#link.moved(bytes, nowMs);
  }

  #measure({ lengthBytes, firstBytes, sinceMs }: IntakeTransfer, beganAtMs: number, nowMs: number): void {
    // What came at once took no time that could be seen.
    if (firstBytes >= lengthBytes || nowMs <= beganAtMs) return;
    const msPerByte = (nowMs - beganAtMs) / (lengthBytes - firstBytes);
    this.#pieceMs += (msPerByte * lengthBytes - this.#pieceMs) * (this.#pieceMs === 0 ? 1 : SMOOTHING);
    // Nobody was waited for by what came without an offer.
    if (beganAtMs > sinceMs)
      this.#answerMs = typicalDuration(this.#answerMs, Math.max(beganAtMs - sinceMs - msPerByte * firstBytes, 0));
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
    for (const { lengthBytes, bytes, sinceMs, beganAtMs } of this.#transfers) {
      const left = lengthBytes - bytes;
      if (beganAtMs === undefined) {
        // One that brings nothing for long waits in a line, and must not keep others from sending.
        if (nowMs - sinceMs < this.beginMs) taken++;
        continue;
      }
      const lead = Math.min((bytes / Math.max(nowMs - beganAtMs, 1)) * this.#leadMs, lengthBytes * MOST_LEAD_SHARE);
      if (left <= Math.max(lead, lengthBytes * LEAD_SHARE)) continue;
      receiving++;
      isSettled &&= nowMs - beganAtMs >= SETTLED_MS;
    }
    const areSlow = isSettled && receiving > 0 && this.#link.use(nowMs) < TURN_RULES.enoughUse;
    const atOnce = turnsAtOnce(this.#answerMs, this.#pieceMs);
    return { promised: taken, running: receiving, areSlow, atOnce };
  }
}
