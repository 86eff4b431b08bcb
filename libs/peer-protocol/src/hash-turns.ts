import type { HashTap, RunningHash } from './running-hash.ts';

/** How often those who wait look whether it is worth it, in ms. */
const LOOK_MS = 20;
/** The hash must have come on by so much between two looks: slower, and waiting would cost more time than reading back. */
const PACE_BYTES = 256 * 1024;
/** So often at most: far below the time that makes a parent late. */
const MAX_LOOKS = 12;

/** The part of one transfer in the hash of its task. */
export interface HashTurn extends HashTap {
  /** The bytes of this transfer are better read later; settles when it is its turn, or the wait is not worth it any more. */
  readonly wait: Promise<void> | undefined;
}

/**
 * Brings the transfers of one task into the order of its hash. Several pieces are on their way at the same time, of which only the one that
 * begins where the hash stands can be hashed as it passes; the others would have to be read back. So while that one comes fast, the next
 * ones stay in the kernel's buffers of their connections for a few milliseconds. Never for longer than it pays: as soon as the
 * hash comes on slowly nobody waits any more until the piece at which it stands is over.
 */
export class HashTurns {
  readonly #hash: RunningHash;
  /** By the position of their first byte. */
  readonly #waiting = new Map<number, Turn>();
  /** Transfers that were begun and have no bytes yet. */
  readonly #coming = new Set<number>();
  /** Transfers that did not wait, and are not hashed yet: they will be read back as soon as they can. */
  readonly #unhashed = new Set<number>();
  #isSlow = false;

  constructor(hash: RunningHash) {
    this.#hash = hash;
  }

  /** A transfer of bytes from `offset` on was begun. Disposed when they come, or will not. */
  expect(offset: number): Disposable {
    this.#coming.add(offset);
    return {
      [Symbol.dispose]: () => {
        if (this.#coming.delete(offset)) this.#settle();
      },
    };
  }

  /** The first bytes of a transfer are here. */
  begin(offset: number): HashTurn {
    const tap = this.#hash.tap(offset);
    const turn = new Turn(tap, (ended, isUndone) => {
      if (this.#waiting.get(offset) === ended) this.#go(offset, undefined);
      if (isUndone) this.#unhashed.delete(offset);
      if (ended.hasTap) this.moveOn();
      else if (isUndone) this.#settle();
    });
    const mayWait = offset > this.#hash.position && !this.#isSlow && this.#isOnItsWay && !this.#waiting.has(offset);
    if (tap === undefined && mayWait) this.#wait(offset, turn);
    else if (tap === undefined) this.#unhashed.add(offset);
    return turn;
  }

  /** The hash may stand elsewhere, or have nothing to do. */
  moveOn(): void {
    this.#isSlow = false;
    for (const offset of this.#unhashed) if (offset < this.#hash.position) this.#unhashed.delete(offset);
    this.#settle();
  }

  /** Nobody waits any more. */
  letAllGo(): void {
    for (const offset of [...this.#waiting.keys()]) this.#go(offset, undefined);
  }

  /** What comes next for the hash is here, or will be. */
  get #isOnItsWay(): boolean {
    const { position, isBusy } = this.#hash;
    return isBusy || this.#coming.has(position) || this.#unhashed.has(position);
  }

  #settle(): void {
    const { position, isBusy } = this.#hash;
    if (!isBusy && this.#waiting.has(position)) this.#go(position, this.#hash.tap(position));
    else if (!this.#isOnItsWay) this.letAllGo();
  }

  #wait(offset: number, turn: Turn): void {
    let [looks, before] = [0, this.#hash.position];
    turn.hold(() => {
      const isFast = this.#hash.position - before >= PACE_BYTES;
      before = this.#hash.position;
      this.#isSlow ||= !isFast;
      if (this.#isSlow) this.letAllGo();
      else if (++looks >= MAX_LOOKS) this.#go(offset, undefined);
    });
    this.#waiting.set(offset, turn);
  }

  /** @param tap undefined when the piece is read back instead */
  #go(offset: number, tap: HashTap | undefined): void {
    const turn = this.#waiting.get(offset);
    this.#waiting.delete(offset);
    if (tap === undefined) this.#unhashed.add(offset);
    turn?.go(tap);
  }
}

class Turn implements HashTurn {
  readonly #onOver: (turn: Turn, isUndone: boolean) => void;
  #tap: HashTap | undefined;
  #held: (PromiseWithResolvers<void> & { readonly timer: NodeJS.Timeout }) | undefined;
  /** What came before it was known that it has to wait: no more than what follows the description of the piece at once. */
  readonly #early: Uint8Array[] = [];

  constructor(tap: HashTap | undefined, onOver: (turn: Turn, isUndone: boolean) => void) {
    this.#tap = tap;
    this.#onOver = onOver;
  }

  get hasTap(): boolean {
    return this.#tap !== undefined;
  }

  get wait(): Promise<void> | undefined {
    return this.#held?.promise;
  }

  hold(onLook: () => void): void {
    this.#held = { ...Promise.withResolvers<void>(), timer: setInterval(onLook, LOOK_MS) };
  }

  go(tap: HashTap | undefined): void {
    this.#tap = tap;
    for (const run of this.#early.splice(0)) tap?.update(run);
    clearInterval(this.#held?.timer);
    this.#held?.resolve();
    this.#held = undefined;
  }

  update(run: Uint8Array): void {
    if (this.#held === undefined) this.#tap?.update(run);
    else this.#early.push(run.slice());
  }

  end(): void {
    this.#tap?.end();
    this.#onOver(this, false);
  }

  undo(): void {
    this.#tap?.undo();
    this.#onOver(this, true);
  }
}
