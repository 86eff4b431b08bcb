import type { TurnAnswerFrame, TurnRequestFrame } from '@d7y/piece-codec';
import { turnLeadMs, TurnRoster } from '@d7y/swarm';
import type { UploadSlots, UploadTurn } from './upload-slots.ts';

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
/** Turns of one child of which it may yet say when they end; those of one that never does end by themselves. */
const MAX_UNENDED = 16;
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
  /** Turns that were taken, and have not ended, by the number of their offer. */
  readonly #taken = new Map<TurnChild, Map<number, UploadTurn>>();
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
        this.#settle(child);
        for (const turn of this.#taken.get(child)?.values() ?? []) turn.endsIn(0);
        this.#taken.delete(child);
        this.#rule();
      },
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#beats);
    this.#watchRest(false);
    for (const child of [...this.#offers.keys()]) this.#settle(child);
  }

  #heard(child: TurnChild, frame: TurnRequestFrame): void {
    const nowMs = this.#clock();
    switch (frame.kind) {
      case 'level':
        this.#turns.levelIs(child, frame.level, nowMs);
        break;
      case 'pass':
        if (this.#offers.get(child)?.number === frame.offer) this.#settle(child);
        this.#takenBy(child, frame.offer)?.endsWhenSent();
        break;
      case 'ending':
        // What was asked for never came here.
        if (this.#offers.get(child)?.number === frame.offer) this.#settle(child);
        this.#takenBy(child, frame.offer)?.endsIn(frame.inMs);
        break;
      case 'wish':
        if (frame.wish === 'over') this.#turns.unfollows(child, frame.taskId);
        else this.#turns.follows(child, frame.taskId, frame.wish === 'something', nowMs);
        // Whoever follows nothing any more has nobody there to hear the rule, and is told anew when that changes.
        if (!this.#turns.isFollowing(child)) this.#told.delete(child);
        else if (!this.#told.has(child)) this.#tell(child, this.#mustWait);
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
      const kept = slots.reserve(child.key, (turn) => this.#settle(child, turn));
      if (kept === undefined) {
        // The same child over another connection.
        this.#turns.settled(child, false, this.#clock());
        break;
      }
      const number = this.#offerCount++ % MAX_OFFER;
      const validMs = Math.max(offerMs, this.#answerMs * VALID_FACTOR);
      const timer = setTimeout(() => this.#settle(child), validMs).unref();
      this.#offers.set(child, { number, kept, timer, madeAtMs: this.#clock() });
      child.say({ kind: 'offer', packetId: child.packetId, offer: number, taskId, reason });
    }
    this.#watchRest(this.#turns.hasWishes);
  }

  /** @param taken absent when the child does not take what it was offered */
  #settle(child: TurnChild, taken?: UploadTurn): void {
    const offer = this.#offers.get(child);
    if (offer === undefined) return;
    this.#offers.delete(child);
    if (taken !== undefined) this.#took(child, offer, taken);
    clearTimeout(offer.timer);
    this.#turns.settled(child, taken !== undefined, this.#clock());
    // Offers what comes free.
    offer.kept[Symbol.dispose]();
  }

  #took(child: TurnChild, { number, madeAtMs }: Offer, turn: UploadTurn): void {
    this.#answerMs += (this.#clock() - madeAtMs - this.#answerMs) * SMOOTHING;
    const turns = this.#taken.get(child) ?? new Map<number, UploadTurn>();
    this.#taken.set(child, turns.set(number, turn));
    const [oldest] = turns.keys();
    if (turns.size > MAX_UNENDED && oldest !== undefined) turns.delete(oldest);
  }

  /** The child says nothing more of it. */
  #takenBy(child: TurnChild, offer: number): UploadTurn | undefined {
    const turns = this.#taken.get(child);
    const turn = turns?.get(offer);
    turns?.delete(offer);
    return turn;
  }

  #watchRest(isOn: boolean): void {
    if (isOn) this.#checks ??= setInterval(() => this.#offer(), REST_CHECK_MS).unref();
    else {
      clearInterval(this.#checks);
      this.#checks = undefined;
    }
  }
}
