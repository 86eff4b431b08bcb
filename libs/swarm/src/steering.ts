import type { ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';

/** Pieces that a child is to be told of now. */
export interface Reveal<Child> {
  readonly child: Child;
  readonly pieces: readonly number[];
}

export interface SteeringOptions {
  readonly pieceCount: number;
  /** Pieces revealed to one child and not sent yet: enough that it always has one to ask for, few enough that others get theirs. */
  readonly ahead: number;
  /** A child that asks for nothing of what it was told for so long loses it to others; one that could be told nothing so long is told all while nothing fresh is owed. */
  readonly patienceMs: number;
  /** A child that was told nothing for so long is told one piece more, where there is one: stock daemons take longer silence for death. */
  readonly silenceMs: number;
}

export const DEFAULT_STEERING: Omit<SteeringOptions, 'pieceCount'> = { ahead: 2, patienceMs: 1_000, silenceMs: 3_000 };

/** How things stand when time has passed. */
export interface SteeringMoment<Child> {
  readonly isIdle?: boolean | undefined;
  readonly isBusy?: boolean | undefined;
  /** Instead of that of the options, where this host takes longer to send what it has told of. */
  readonly patienceMs?: number | undefined;
  readonly isPatient?: ((child: Child) => boolean) | undefined;
}

/** So many children that did not want a piece: they have it from somebody else. */
const MAX_DECLINED = 2;

const ABSENT = 0;
/** Here, and told to nobody, or only to a child that is told everything. */
const FRESH = 1;
/** Told to one child, who has not asked for it. */
const TOLD = 2;
/** Somebody has asked for it. */
const ASKED = 3;
/** Sent to somebody, or had by somebody all the same. */
const SENT = 4;
/** It came from others, who still have it. */
const ELSEWHERE = 5;

interface ChildState<Child> {
  readonly child: Child;
  /** Undefined: all. */
  readonly wanted: ReadonlyPieceSet | undefined;
  /** Told to it, or not wanted by it. */
  readonly revealed: PieceSet;
  /** Told to it alone, and not sent. */
  readonly owed: Set<number>;
  /** When it was last told of, asked for or got a piece. */
  activeAtMs: number;
  toldAtMs: number;
  /** It let pieces lie: it is told of one at a time until it asks again. */
  isSlow: boolean;
}

/**
 * What a holder of pieces that nobody else has tells its children. Until every piece has left it once, a repeated piece is a slot wasted for
 * all of them: so each is told to one child, in turn, and they trade. What was sent is told to others only when everything was, or to a
 * child that could be told nothing else. A single child is told everything at once.
 *
 * One for each task and holder. Facts come in by methods; each answers what is to be announced because of it. A piece announced is not
 * taken back, and anybody may ask for any piece. An event costs a step for each child at most, but for those that have everything told.
 */
export class Steering<Child> {
  readonly #options: SteeringOptions;
  readonly #states: Uint8Array;
  /** By how many children a piece that they were told of was let lie. */
  readonly #declined: Uint8Array;
  /** To whom a piece that is TOLD was told, or who asked for it. */
  readonly #takers: (ChildState<Child> | undefined)[] = [];
  readonly #held = new PieceSet();
  /** Pieces that somebody else has. */
  #spread = 0;
  /** To be dealt from #head on; those that are not FRESH any more are passed over. */
  #queue: number[] = [];
  #head = 0;
  /** In the order in which they get the next pieces. */
  readonly #children = new Map<Child, ChildState<Child>>();

  constructor(options: Partial<SteeringOptions> & Pick<SteeringOptions, 'pieceCount'>) {
    this.#options = { ...DEFAULT_STEERING, ...options };
    this.#states = new Uint8Array(options.pieceCount);
    this.#declined = new Uint8Array(options.pieceCount);
  }

  get childCount(): number {
    return this.#children.size;
  }

  /** Pieces that somebody has besides this holder. */
  get spreadCount(): number {
    return this.#spread;
  }

  /** Somebody else has every piece: there is nothing to steer any more, and whoever comes is told all. */
  get isDone(): boolean {
    return this.#spread === this.#states.length;
  }

  /** Pieces that were told to one child alone, or asked for by it, and not sent. */
  get owedCount(): number {
    let count = 0;
    for (const { owed } of this.#children.values()) count += owed.size;
    return count;
  }

  /** Pieces that are here, and that nobody else has yet. */
  get freshCount(): number {
    return this.#held.size - this.#spread;
  }

  /** Those of them that some child wants. Costs a step for each piece that is held, so not for each turn. */
  get wantedFreshCount(): number {
    const wishes = [...this.#children.values()].map(({ wanted }) => wanted);
    if (this.freshCount === 0 || wishes.includes(undefined)) return this.freshCount;
    let count = 0;
    for (const piece of this.#held)
      if (!this.#isSpread(piece) && wishes.some((wanted) => wanted?.has(piece) === true)) count++;
    return count;
  }

  /** The child was told of everything that is held and that it wants. */
  knowsAll(child: Child): boolean {
    return (this.#children.get(child)?.revealed.size ?? 0) >= this.#held.size;
  }

  /** @param options.isElsewhere others have it, since it came from them: all children are told */
  pieceHeld(piece: number, nowMs: number, { isElsewhere = false } = {}): readonly Reveal<Child>[] {
    if (piece >= this.#states.length || !this.#held.add(piece)) return [];
    if (isElsewhere) {
      this.#states[piece] = ELSEWHERE;
      this.#spread++;
      return this.isDone ? this.#revealAll(nowMs) : this.#revealToAll(piece, nowMs);
    }
    this.#states[piece] = FRESH;
    this.#queue.push(piece);
    return this.#children.size === 1 ? this.#revealToAll(piece, nowMs) : this.#deal(nowMs);
  }

  /** Its bytes proved wrong. */
  pieceLost(piece: number): void {
    if (!this.#held.delete(piece)) return;
    if (this.#isSpread(piece)) this.#spread--;
    this.#takers[piece]?.owed.delete(piece);
    this.#takers[piece] = undefined;
    this.#states[piece] = ABSENT;
    for (const { revealed } of this.#children.values()) revealed.delete(piece);
  }

  /** @param wanted all when undefined; joining again takes the place of what was before */
  childJoined(child: Child, nowMs: number, wanted?: ReadonlyPieceSet): readonly Reveal<Child>[] {
    this.#forget(child);
    const state: ChildState<Child> = {
      ...{ child, wanted, revealed: new PieceSet(), owed: new Set() },
      ...{ activeAtMs: nowMs, toldAtMs: nowMs, isSlow: false },
    };
    this.#children.set(child, state);
    if (this.isDone) return listed(this.#reveal(state, this.#held, nowMs));
    const elsewhere: number[] = [];
    for (const piece of this.#held) if (this.#states[piece] === ELSEWHERE) elsewhere.push(piece);
    return [...listed(this.#reveal(state, elsewhere, nowMs)), ...this.#deal(nowMs)];
  }

  childLeft(child: Child, nowMs: number): readonly Reveal<Child>[] {
    return this.#forget(child) ? this.#deal(nowMs) : [];
  }

  /** A child asks for a piece, whether it was told of it or not, and whether it joined or not. */
  pieceAsked(child: Child, piece: number, nowMs: number): void {
    const state = this.#children.get(child);
    if (state !== undefined) {
      state.activeAtMs = nowMs;
      state.isSlow = false;
    }
    const now = this.#states[piece];
    if (now !== FRESH && (now !== TOLD || this.#takers[piece] !== state)) return;
    this.#states[piece] = ASKED;
    this.#takers[piece] = state;
    if (this.#children.size > 1) state?.owed.add(piece);
  }

  /** A child has got a piece. */
  pieceSent(child: Child, piece: number, nowMs: number): readonly Reveal<Child>[] {
    const state = this.#children.get(child);
    if (state !== undefined) state.activeAtMs = nowMs;
    if (!this.#held.has(piece) || this.#isSpread(piece)) return [];
    this.#spreads(piece);
    return this.isDone ? this.#revealAll(nowMs) : this.#deal(nowMs);
  }

  /** A child asked for a piece, and did not get all of it. */
  pieceNotSent(child: Child, piece: number, nowMs: number): readonly Reveal<Child>[] {
    const taker = this.#takers[piece];
    if (this.#states[piece] !== ASKED || (taker !== undefined && taker.child !== child)) return [];
    this.#free(piece);
    return this.#deal(nowMs);
  }

  /**
   * To be called a few times in `patienceMs` while there are children.
   * @param options.isIdle nothing is being sent: only then, and while no fresh piece is owed to anybody, a child is told of what others
   * have already, and only one at a time, for whatever it asks for keeps fresh pieces waiting
   * @param options.isBusy this host sends as much as it can: who has not asked yet could not have been served either
   * @param options.patienceMs instead of that of the options
   * @param options.isPatient the child knows a silent holder from a dead one, and is told of nothing for the sake of being told
   */
  tick(nowMs: number, options: SteeringMoment<Child> = {}): readonly Reveal<Child>[] {
    const { isIdle = true, isBusy = false, patienceMs = this.#options.patienceMs, isPatient = () => false } = options;
    if (this.isDone || this.#children.size < 2) return [];
    if (isBusy) return this.#breakSilence(nowMs, isPatient);
    const idle: ChildState<Child>[] = [];
    for (const state of this.#children.values()) {
      if (nowMs - state.activeAtMs < patienceMs) continue;
      if (state.owed.size === 0) idle.push(state);
      else this.#takeBack(state);
    }
    if (this.isDone) return this.#revealAll(nowMs);
    const dealt = this.#deal(nowMs);
    const starving = idle.filter(({ owed }) => owed.size === 0);
    const all = isIdle && this.owedCount === 0 ? this.#feedOne(starving, nowMs) : [];
    return [...dealt, ...all, ...this.#breakSilence(nowMs, isPatient)];
  }

  #feedOne(starving: readonly ChildState<Child>[], nowMs: number): Reveal<Child>[] {
    for (const state of starving) {
      const reveal = this.#reveal(state, this.#held, nowMs);
      if (reveal.pieces.length > 0) return [reveal];
    }
    return [];
  }

  #breakSilence(nowMs: number, isPatient: (child: Child) => boolean): Reveal<Child>[] {
    const silent = [...this.#children.values()].filter(
      ({ child, toldAtMs, revealed }) =>
        nowMs - toldAtMs >= this.#options.silenceMs && revealed.size < this.#held.size && !isPatient(child),
    );
    return silent.flatMap((state) => {
      for (const piece of this.#held) {
        const reveal = this.#reveal(state, [piece], nowMs);
        if (reveal.pieces.length > 0) return [reveal];
      }
      return [];
    });
  }

  /** What a child has not asked for all the time goes to others. */
  #takeBack(state: ChildState<Child>): void {
    for (const piece of [...state.owed]) {
      if (this.#states[piece] !== TOLD) continue;
      state.isSlow = true;
      const declined = (this.#declined[piece] ?? 0) + 1;
      this.#declined[piece] = declined;
      if (declined >= MAX_DECLINED) this.#spreads(piece);
      else this.#free(piece);
    }
  }

  #isSpread(piece: number): boolean {
    return (this.#states[piece] ?? ABSENT) >= SENT;
  }

  #spreads(piece: number): void {
    this.#takers[piece]?.owed.delete(piece);
    this.#takers[piece] = undefined;
    this.#states[piece] = SENT;
    this.#spread++;
  }

  /** It is to be dealt again, before all others. */
  #free(piece: number): void {
    this.#takers[piece]?.owed.delete(piece);
    this.#takers[piece] = undefined;
    this.#states[piece] = FRESH;
    if (this.#head > 0) this.#queue[--this.#head] = piece;
    else this.#queue.unshift(piece);
  }

  /** @returns whether it was there */
  #forget(child: Child): boolean {
    const state = this.#children.get(child);
    if (state === undefined) return false;
    for (const piece of [...state.owed]) this.#free(piece);
    return this.#children.delete(child);
  }

  /** Tells fresh pieces, each to one child, as far as children have room. */
  #deal(nowMs: number): Reveal<Child>[] {
    if (this.#children.size < 2) return this.#revealAll(nowMs);
    let room = 0;
    for (const state of this.#children.values()) if (this.#hasRoom(state)) room++;
    const given = new Map<ChildState<Child>, number[]>();
    const kept: number[] = [];
    for (; room > 0 && this.#head < this.#queue.length; this.#head++) {
      const piece = this.#queue[this.#head];
      if (piece === undefined || this.#states[piece] !== FRESH) continue;
      let taker: ChildState<Child> | undefined;
      for (const state of this.#children.values()) {
        if (!this.#hasRoom(state) || state.revealed.has(piece)) continue;
        state.revealed.add(piece);
        const isWanted = state.wanted?.has(piece) ?? true;
        if (isWanted) {
          this.#tell(state, piece, nowMs);
          taker = state;
        }
        if (!this.#hasRoom(state)) room--;
        if (isWanted) break;
      }
      if (taker === undefined) kept.push(piece);
      else given.set(taker, [...(given.get(taker) ?? []), piece]);
    }
    for (const piece of kept.reverse()) this.#queue[--this.#head] = piece;
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return [...given].map(([{ child }, pieces]) => ({ child, pieces }));
  }

  #hasRoom({ owed, isSlow, revealed }: ChildState<Child>): boolean {
    return owed.size < (isSlow ? 1 : this.#options.ahead) && revealed.size < this.#held.size;
  }

  /** The piece is its own to fetch; it comes last for the next one. */
  #tell(state: ChildState<Child>, piece: number, nowMs: number): void {
    this.#states[piece] = TOLD;
    this.#takers[piece] = state;
    // What it is slow to ask for is measured from when there was something to ask for.
    if (state.owed.size === 0) state.activeAtMs = nowMs;
    state.toldAtMs = nowMs;
    state.owed.add(piece);
    this.#children.delete(state.child);
    this.#children.set(state.child, state);
  }

  #reveal(state: ChildState<Child>, pieces: Iterable<number>, nowMs: number): Reveal<Child> {
    const fresh: number[] = [];
    for (const piece of pieces) if (state.revealed.add(piece) && (state.wanted?.has(piece) ?? true)) fresh.push(piece);
    if (fresh.length > 0) state.activeAtMs = state.toldAtMs = nowMs;
    return { child: state.child, pieces: fresh };
  }

  #revealToAll(piece: number, nowMs: number): Reveal<Child>[] {
    return [...this.#children.values()].flatMap((state) => listed(this.#reveal(state, [piece], nowMs)));
  }

  #revealAll(nowMs: number): Reveal<Child>[] {
    return [...this.#children.values()].flatMap((state) =>
      state.revealed.size < this.#held.size ? listed(this.#reveal(state, this.#held, nowMs)) : [],
    );
  }
}

function listed<Child>(reveal: Reveal<Child>): Reveal<Child>[] {
  return reveal.pieces.length === 0 ? [] : [reveal];
}
