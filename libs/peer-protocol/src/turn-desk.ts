import type { TurnAnswerFrame, TurnRequestFrame } from '@d7y/piece-codec';
import { turnLeadMs, TurnRoster } from '@d7y/swarm';
import type { UploadSlots } from './upload-slots.ts';

/** A child that follows tasks here, over one connection. */
export interface TurnChild {
  /** As its piece requests tell. */
  readonly key: string;
  readonly packetId: number;
  readonly say: (frame: TurnAnswerFrame) => void;
}

/** A child's place at the desk, until disposed. */
export interface TurnPlace extends Disposable {
  heard(frame: TurnRequestFrame): void;
}

export interface TurnDeskOptions {
  readonly slots: UploadSlots;
  /** Whether this host has pieces of the task that nobody else has. */
  readonly isFresh: (taskId: string) => boolean;
  /** Bytes have left this host of late, to whomever. */
  readonly isSending: () => boolean;
  /** An offer holds a turn for so long at most, in ms. */
  readonly offerMs: number;
  /** How often children hear that others are served, in ms. */
  readonly beatMs: number;
  /** Monotonic, in ms. */
  readonly clock?: (() => number) | undefined;
  /** Uniform in [0, 1). */
  readonly random?: (() => number) | undefined;
}

interface Offer {
  readonly number: number;
  readonly kept: Disposable;
  readonly timer: NodeJS.Timeout;
  readonly madeAtMs: number;
}

/** From so many children on they wait for offers: a single one asks as it likes. */
const CROWD = 2;
/** How often it is looked whether there is a turn more to give, in ms. */
const REST_CHECK_MS = 100;
const MAX_OFFER = 2 ** 32;
/** How much a new measurement of the time to an answer counts against all before it. */
const SMOOTHING = 0.3;
/** And is kept so many times as long as answers take, where that is longer than its usual time. */
const VALID_FACTOR = 4;

/** Offers the turns of a piece server to children of ours. Who gets the next one is decided by `TurnRoster`. */
export class TurnDesk implements Disposable {
  readonly #options: TurnDeskOptions;
  readonly #clock: () => number;
  readonly #turns: TurnRoster<TurnChild>;
  readonly #offers = new Map<TurnChild, Offer>();
  /** What each child was told last: whether it is to wait. */
  readonly #told = new Map<TurnChild, boolean>();
  #offerCount = 0;
  #checks: NodeJS.Timeout | undefined;
  #beats: NodeJS.Timeout | undefined;
  /** From an offer to the request that takes it, of late, in ms: messages may wait behind pieces on both ways. */
  #answerMs = 0;

  constructor(options: TurnDeskOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#turns = new TurnRoster({ random: options.random ?? Math.random });
    options.slots.offerTo(
      () => this.#offer(),
      () => this.#answerMs,
    );
  }

  /** So long before an upload ends the next turn is to be offered, in ms. */
  get leadMs(): number {
    return turnLeadMs(this.#answerMs);
  }

  join(child: TurnChild): TurnPlace {
    let isOpen = true;
    return {
      heard: (frame) => {
        if (isOpen) this.#heard(child, frame);
      },
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#turns.left(child);
        this.#told.delete(child);
        if (this.#told.size === 0) {
          clearInterval(this.#beats);
          this.#beats = undefined;
        }
        this.#settle(child, false);
        this.#rule();
      },
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#beats);
    this.#watchRest(false);
    for (const child of [...this.#offers.keys()]) this.#settle(child, false);
  }

  #heard(child: TurnChild, frame: TurnRequestFrame): void {
    const nowMs = this.#clock();
    switch (frame.kind) {
      case 'level':
        this.#turns.levelIs(child, frame.level, nowMs);
        break;
      case 'pass':
        if (this.#offers.get(child)?.number === frame.offer) this.#settle(child, false);
        break;
      case 'wish':
        if (frame.wish === 'over') this.#turns.unfollows(child, frame.taskId);
        else this.#turns.follows(child, frame.taskId, frame.wish === 'something', nowMs);
        if (!this.#told.has(child)) this.#tell(child, this.#mustWait);
        this.#rule();
        break;
      default:
        frame satisfies never;
    }
    this.#offer();
  }

  get #mustWait(): boolean {
    return this.#turns.followers >= CROWD;
  }

  /** Tells those who were told otherwise. */
  #rule(): void {
    const mustWait = this.#mustWait;
    for (const [child, told] of this.#told) if (told !== mustWait) this.#tell(child, mustWait);
  }

  #tell(child: TurnChild, mustWait: boolean): void {
    this.#told.set(child, mustWait);
    this.#beats ??= setInterval(() => this.#beat(), this.#options.beatMs).unref();
    child.say({ kind: 'rule', packetId: child.packetId, mustWait });
  }

  /** Says the same again: who waits here knows that we are there, and at work. */
  #beat(): void {
    if (!this.#options.isSending()) return;
    for (const [child, mustWait] of this.#told) child.say({ kind: 'rule', packetId: child.packetId, mustWait });
  }

  #offer(): void {
    const { slots, isFresh, offerMs } = this.#options;
    while (slots.mayOffer) {
      const { restingSinceMs } = slots;
      const next = this.#turns.next(this.#clock(), { restingSinceMs, isFresh });
      if (next === undefined) break;
      const { child, taskId, reason } = next;
      const kept = slots.reserve(child.key, () => this.#settle(child, true));
      if (kept === undefined) {
        // The same child over another connection.
        this.#turns.settled(child, false, this.#clock());
        break;
      }
      const number = this.#offerCount++ % MAX_OFFER;
      const validMs = Math.max(offerMs, this.#answerMs * VALID_FACTOR);
      const timer = setTimeout(() => this.#settle(child, false), validMs).unref();
      this.#offers.set(child, { number, kept, timer, madeAtMs: this.#clock() });
      child.say({ kind: 'offer', packetId: child.packetId, offer: number, taskId, reason });
    }
    this.#watchRest(this.#turns.hasWishes);
  }

  #settle(child: TurnChild, isTaken: boolean): void {
    const offer = this.#offers.get(child);
    if (offer === undefined) return;
    this.#offers.delete(child);
    if (isTaken) this.#answerMs += (this.#clock() - offer.madeAtMs - this.#answerMs) * SMOOTHING;
    clearTimeout(offer.timer);
    this.#turns.settled(child, isTaken, this.#clock());
    // Offers what comes free.
    offer.kept[Symbol.dispose]();
  }

  #watchRest(isOn: boolean): void {
    if (isOn) this.#checks ??= setInterval(() => this.#offer(), REST_CHECK_MS).unref();
    else {
      clearInterval(this.#checks);
      this.#checks = undefined;
    }
  }
}
