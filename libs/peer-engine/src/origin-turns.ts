import { OriginWidth } from './origin-width.ts';

/** Requests to one origin at once, however many tasks are fetched from it. */
const MAX_REQUESTS = 32;
/** So many turns go to tasks that need the least, then one to the task that has waited longest. */
const SHORTEST_IN_A_ROW = 3;
/** A request keeps others waiting for so long at most, in ms: the origin, or the link, may be slow. */
const LONGEST_MS = 5_000;

/** A download that has something to ask of an origin. */
export interface TurnWish {
  /** Bytes that it still needs of the origin. */
  readonly missingBytes: () => number;
  /** It has a turn, which it must dispose; called at once, or later. */
  readonly begin: (turn: OriginTurn) => void;
}

/** Leave to make one request, until disposed. */
export interface OriginTurn extends Disposable {
  /** It is there to see whether one request more helps, and is to be over soon. */
  readonly isTrial: boolean;
  received(bytes: number, nowMs: number): void;
  /** A piece is whole. */
  finished(): void;
}

/**
 * Whose request to an origin is next, among all downloads of this host. As few at once as bring all that comes: pieces that arrive one after
 * another are whole sooner than those that share a link, and a task that is whole at the source is one that others can finish. The task
 * that needs the least comes first; now and then the one that has waited longest, so that a large one is not left behind.
 *
 * Owner of the count of requests by origin; forgets an origin when nothing is asked of it any more.
 */
export class OriginTurns {
  readonly #lanes = new Map<string, Lane>();

  /**
   * @param origin scheme and authority
   * @returns takes the wish back; does nothing once it has begun
   */
  ask(origin: string, wish: TurnWish): Disposable {
    let lane = this.#lanes.get(origin);
    if (lane === undefined) {
      lane = new Lane(() => this.#lanes.delete(origin));
      this.#lanes.set(origin, lane);
    }
    return lane.ask(wish);
  }
}

class Lane {
  readonly #onIdle: () => void;
  readonly #width = new OriginWidth(MAX_REQUESTS);
  /** In the order of their coming. */
  readonly #waiting = new Set<TurnWish>();
  #running = 0;
  #isPumping = false;
  #inARow = 0;

  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  ask(wish: TurnWish): Disposable {
    this.#waiting.add(wish);
    this.#pump();
    return {
      [Symbol.dispose]: () => {
        if (this.#waiting.delete(wish)) this.#pump();
      },
    };
  }

  #pump(): void {
    // What begins may ask for more, or end at once.
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#running < this.#width.width) {
      const wish = this.#next();
      if (wish === undefined) break;
      this.#waiting.delete(wish);
      wish.begin(this.#turn());
    }
    this.#isPumping = false;
    if (this.#running === 0 && this.#waiting.size === 0) this.#onIdle();
  }

  #next(): TurnWish | undefined {
    const [longest] = this.#waiting;
    if (this.#inARow === SHORTEST_IN_A_ROW) {
      this.#inARow = 0;
      return longest;
    }
    this.#inARow++;
    let best: TurnWish | undefined;
    let fewest = Infinity;
    for (const wish of this.#waiting) {
      const missing = wish.missingBytes();
      if (missing >= fewest) continue;
      best = wish;
      fewest = missing;
    }
    return best ?? longest;
  }

  #turn(): OriginTurn {
    const isTrial = this.#width.isTrial(this.#running);
    this.#running++;
    let isCounted = true;
    const end = (): void => {
      if (!isCounted) return;
      isCounted = false;
      clearTimeout(timer);
      this.#running--;
      this.#pump();
    };
    const timer = setTimeout(end, LONGEST_MS).unref();
    return {
      isTrial,
      received: (bytes, nowMs) => {
        const inUse = { running: this.#running, isWanted: this.#waiting.size > 0 };
        if (this.#width.received(bytes, nowMs, inUse)) this.#pump();
      },
      finished: () => this.#width.finished(),
      [Symbol.dispose]: end,
    };
  }
}
