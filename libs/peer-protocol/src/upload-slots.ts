import { mayGiveTurn, TURN_RULES, turnLeadMs, turnsAtOnce } from '@d7y/swarm';

/** Bounds of the uploads of a host. */
export interface UploadSlotsOptions {
  /** Large uploads that begin together: few, so that each piece is soon whole at somebody who can pass it on. */
  readonly maxTurns: number;
  /** An upload keeps others from beginning for so long at most, in ms: a slow child must not hold them up. */
  readonly turnMs: number;
  /** Uploads that run at once, slow and small ones with them. */
  readonly maxRunning: number;
  readonly maxWaiting: number;
  /** Monotonic, in ms. */
  readonly clock?: (() => number) | undefined;
  /** Part of the uplink that is in use, from 0 to 1; full, unless given: then only one turn is offered at a time. */
  readonly use?: (() => number) | undefined;
}

/** An upload that wants to begin. */
export interface UploadRequest {
  /** Children take turns. */
  readonly child: string;
  /** It is over before others would notice it, and need not wait for a turn. */
  readonly isSmall: boolean;
}

/** An upload that runs, until disposed. */
export interface UploadSlot extends Disposable {
  /** It is nearly over: the next one may begin. Of an offered turn its child says so. */
  endTurn(): void;
  /** All of it was handed to the kernel: an offered turn lasts until the child says that it ends. */
  sent(): void;
}

/** A turn that a child was offered, and took. */
export interface UploadTurn {
  /** What was asked for will be with the child in so many ms. */
  endsIn(ms: number): void;
  /** The child says that it did not ask because of the offer, and will not say when this ends. */
  endsWhenSent(): void;
}

/** A turn that is in use. */
interface Turn {
  giveBack(): void;
  /** Notes how long it took, with so many ms that are still to come. */
  took(moreMs: number): void;
}

interface Waiting {
  readonly isSmall: boolean;
  readonly begin: () => void;
}

/** A turn that a child was offered and has not taken yet. */
interface Reservation {
  readonly onTaken: (turn: UploadTurn) => void;
}

/** What was begun has come up to speed after so long, in ms: only then it shows whether it fills the link. */
const SETTLED_MS = 500;
/** How much a new measurement of the time of a piece counts against all before it. */
const SMOOTHING = 0.3;

/**
 * Decides which uploads run: a few at a time. Children that ask get turns one after the other, those of one child in the order of their coming;
 * and turns are offered to children that wait for offers. Where both wait, one kind follows the other.
 */
export class UploadSlots {
  readonly #options: UploadSlotsOptions;
  readonly #clock: () => number;
  #running = 0;
  #turns = 0;
  /** Of these, turns that were offered, whether they were taken yet or not. */
  #offeredTurns = 0;
  /** Uploads of offered turns that run, those that are nearly over among them. */
  #offeredRunning = 0;
  #waitingCount = 0;
  /** By child; the one whose turn is next comes first. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  readonly #reserved = new Map<string, Reservation>();
  #offer: (() => void) | undefined;
  #answerMs = (): number => 0;
  /** That a large upload took, of late; 0 while unknown. */
  #pieceMs = 0;
  #isOfferNext = false;
  #restingSinceMs: number;
  #lastTurnAtMs = -Infinity;

  constructor(options: UploadSlotsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#restingSinceMs = this.#clock();
  }

  get running(): number {
    return this.#running;
  }

  /** Since when no turn has been given that could be, in ms of the clock. */
  get restingSinceMs(): number {
    return this.#turns === 0 ? this.#restingSinceMs : this.#clock();
  }

  /** A turn can be offered. */
  get mayOffer(): boolean {
    if (!this.#mayBegin(false)) return false;
    const promised = this.#reserved.size;
    const atOnce = turnsAtOnce(this.#answerMs(), this.#pieceMs);
    // One that is nearly over may overlap with the next, and with no more: each would be slower for it, and leads longer.
    if (this.#offeredRunning - (this.#offeredTurns - promised) > atOnce) return false;
    const isSettled = this.#clock() - this.#lastTurnAtMs >= SETTLED_MS;
    const areSlow = isSettled && (this.#options.use?.() ?? 1) < TURN_RULES.enoughUse;
    return mayGiveTurn({ promised, running: this.#offeredTurns - promised, areSlow, atOnce });
  }

  /**
   * @param offer called when a turn may be offered; it reserves it for somebody, or does nothing
   * @param answerMs how long those to whom turns are offered take to answer, of late
   */
  offerTo(offer: () => void, answerMs: () => number = () => 0): void {
    this.#offer = offer;
    this.#answerMs = answerMs;
  }

  /**
   * Keeps a turn for a child, whose next upload begins at once.
   * @returns what gives it back unless it was taken; undefined when there is none, or one is kept for the child already
   */
  reserve(child: string, onTaken: (turn: UploadTurn) => void): Disposable | undefined {
    if (!this.mayOffer || this.#reserved.has(child)) return undefined;
    const reservation: Reservation = { onTaken };
    this.#reserved.set(child, reservation);
    this.#turns++;
    this.#offeredTurns++;
    this.#lastTurnAtMs = this.#clock();
    this.#isOfferNext = false;
    return {
      [Symbol.dispose]: () => {
        if (this.#reserved.get(child) !== reservation) return;
        this.#reserved.delete(child);
        this.#giveBack(true);
      },
    };
  }

  /** @returns what gives the slot back; undefined when too many wait already. Rejects with the reason of the signal. */
  async take({ child, isSmall }: UploadRequest, { signal }: { signal: AbortSignal }): Promise<UploadSlot | undefined> {
    signal.throwIfAborted();
    const reservation = this.#reserved.get(child);
    if (reservation !== undefined) {
      this.#reserved.delete(child);
      return this.#begin(true, reservation);
    }
    if (this.#mayBegin(isSmall)) return this.#beginAsked(isSmall);
    if (this.#waitingCount >= this.#options.maxWaiting) return undefined;
    return await this.#turn(child, isSmall, signal);
  }

  #mayBegin(isSmall: boolean): boolean {
    const { maxRunning, maxTurns } = this.#options;
    return this.#running < maxRunning && (isSmall || this.#turns < maxTurns);
  }

  #beginAsked(isSmall: boolean): UploadSlot {
    if (!isSmall) {
      this.#turns++;
      this.#isOfferNext = true;
    }
    return this.#begin(!isSmall);
  }

  /** @param hasTurn it holds one of the turns @param reservation of whoever was offered it */
  #begin(hasTurn: boolean, reservation?: Reservation): UploadSlot {
    const isOffered = reservation !== undefined;
    const turn = hasTurn ? this.#beginTurn(isOffered) : undefined;
    this.#running++;
    if (isOffered) this.#offeredRunning++;
    /** The child says when it ends. */
    let isClaimed = isOffered;
    let isNearlyOver = false;
    let isSent = false;
    let isOver = false;
    reservation?.onTaken({
      endsWhenSent: () => {
        isClaimed = false;
        if (isOver) turn?.giveBack();
      },
      endsIn: (ms) => {
        const inMs = Math.min(ms, this.#options.turnMs);
        // Of one that broke off the child says that it ends now.
        if (isSent || inMs > 0) turn?.took(inMs);
        const waitMs = inMs - turnLeadMs(this.#answerMs());
        if (waitMs <= 0) turn?.giveBack();
        else setTimeout(() => turn?.giveBack(), waitMs).unref();
      },
    });
    return {
      endTurn: () => {
        if (isClaimed) return;
        isNearlyOver = true;
        turn?.giveBack();
      },
      sent: () => {
        isSent = true;
      },
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#running--;
        if (isOffered) this.#offeredRunning--;
        if (isNearlyOver) turn?.took(0);
        // Of what broke off, or came unasked, nobody says when it ends.
        if (!isSent || !isClaimed) turn?.giveBack();
        this.#next();
      },
    };
  }

  /** What one of the turns is used for; it is counted already. */
  #beginTurn(isOffered: boolean): Turn {
    const beganAtMs = this.#clock();
    this.#lastTurnAtMs = beganAtMs;
    let isHeld = true;
    const giveBack = (): void => {
      clearTimeout(timer);
      if (!isHeld) return;
      isHeld = false;
      this.#giveBack(isOffered);
    };
    const timer = setTimeout(giveBack, this.#options.turnMs).unref();
    return { giveBack, took: (moreMs) => this.#took(this.#clock() - beganAtMs + moreMs) };
  }

  #took(ms: number): void {
    this.#pieceMs += (ms - this.#pieceMs) * (this.#pieceMs === 0 ? 1 : SMOOTHING);
  }

  #giveBack(isOffered: boolean): void {
    this.#turns--;
    if (isOffered) this.#offeredTurns--;
    if (this.#turns === 0) this.#restingSinceMs = this.#clock();
    this.#next();
  }

  #turn(child: string, isSmall: boolean, signal: AbortSignal): Promise<UploadSlot> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        isSmall,
        begin: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#beginAsked(isSmall));
        },
      };
      const onAbort = (): void => {
        this.#forget(child, waiting);
        reject(signal.reason as Error);
      };
      const line = this.#waiting.get(child) ?? new Set();
      this.#waiting.set(child, line.add(waiting));
      this.#waitingCount++;
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #forget(child: string, waiting: Waiting): void {
    const line = this.#waiting.get(child);
    if (line?.delete(waiting) !== true) return;
    this.#waitingCount--;
    if (line.size === 0) this.#waiting.delete(child);
  }

  /** Begins what may begin, and offers what is left. */
  #next(): void {
    if (this.#isOfferNext && this.mayOffer) this.#offer?.();
    this.#serve();
    if (this.mayOffer) this.#offer?.();
  }

  /** A child that had its turn comes last. */
  #serve(): void {
    for (const [child, line] of [...this.#waiting]) {
      const [first] = line;
      if (first === undefined || !this.#mayBegin(first.isSmall)) continue;
      this.#forget(child, first);
      if (line.size > 0) {
        this.#waiting.delete(child);
        this.#waiting.set(child, line);
      }
      first.begin();
    }
  }
}
