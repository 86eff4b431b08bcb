import type { Parent, PieceAnnouncement } from '@d7y/peer-protocol';
import { pieceRange } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import type { Journal } from './journal.ts';
import type { LatePolicy } from './lateness.ts';
import { silenceOf } from './lateness.ts';
import { offenceOf, OFFENCES } from './offence.ts';
import type { ParentStandings, PieceServerAddress } from './parent-standing.ts';
import { PieceChoice } from './piece-choice.ts';
import type { Parents } from './ports/parents.ts';
import type { Progress } from './progress.ts';
import type { Offence, Reputation } from './reputation.ts';
import type { Verification } from './verification.ts';

/** A parent of this task: where it is, how it did. What it has is with the `PieceChoice`. */
export interface ParentState {
  readonly parent: Parent;
  /** Of so many pieces it was asked whether it has them. */
  asked: number;
  address: PieceServerAddress | undefined;
  /** What it has, and where, was not asked but concluded from its offer and from what it said in earlier tasks. */
  isPresumed: boolean;
  refusals: number;
  /** Pieces in a row that others had to bring. */
  lates: number;
  /** Requests in a row that it did not come to while it sent us other pieces. */
  withoutTurn: number;
  /** A transfer from it was stuck, and none has succeeded since: it gets one piece at a time, and only what nobody else has. */
  isStalling: boolean;
  /** It has taken the call by which it tells its pieces. */
  hasAnswered: boolean;
  /**
   * Whether it offers turns: it does not; nobody knows yet whether it wants its children to wait for them; they are to wait; they may ask
   * as they like.
   */
  turn: 'none' | 'unknown' | 'wait' | 'free';
  readonly askedAtMs: number;
  /** It still tells of new pieces. */
  isSyncing: boolean;
  readonly stop: AbortController;
  readonly use: Disposable | undefined;
}

/** A parent has come to have a piece. */
export interface PieceNews {
  readonly state: ParentState;
  readonly number: number;
}

export interface TaskParentsInit {
  readonly progress: Progress;
  readonly parents: Pick<Parents, 'syncPieces'>;
  readonly reputation: Reputation;
  /** Only the caller vouches for the origin that shows the content to anybody: what peers hold as private is not to be had by that. */
  readonly takesPublicOnly?: boolean;
  readonly verification: Pick<Verification, 'meet' | 'turnedAway'>;
  /** This host. */
  readonly hostId: string;
  readonly standings: ParentStandings;
  /** Takes down which parents are asked, which not, and why. */
  readonly journal: Journal;
  readonly latePolicy: LatePolicy;
  readonly clock: () => number;
  readonly random: () => number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onPieceFailed: (pieceNumber: number | undefined, parent: Parent) => void;
  /** A host is not asked for a while. */
  readonly onBlamed: (hostId: string, offence: Offence) => void;
  /** It is known where a parent serves pieces. */
  readonly onMet: (state: ParentState) => void;
  readonly onLeft: (state: ParentState) => void;
  /** A parent tells of a piece, or will tell of no more. */
  readonly onNews: (news?: PieceNews) => void;
}

/** The parents of one task: who they are, what they say they have, and which of them are asked no more. */
export class TaskParents {
  readonly #init: TaskParentsInit;
  /** What they have, and what to ask of whom. */
  readonly choice: PieceChoice;
  readonly #states = new Map<string, ParentState>();
  /** Never asked again for this task. */
  readonly #blocked = new Set<string>();
  readonly #offered: Parent[] = [];
  readonly #hosts = new Map<string, string>();
  /** There for what no neighbour brings: until then they are not even asked what they have. */
  readonly #fallbacks = new Map<string, Parent>();
  #lastNewsMs: number;

  constructor(init: TaskParentsInit) {
    this.#init = init;
    this.choice = new PieceChoice(init);
    this.#lastNewsMs = init.clock();
  }

  /** All parents a scheduler has offered so far, also those that were dropped. */
  get offered(): readonly Parent[] {
    return this.#offered;
  }

  /**
   * How long no parent has announced what was not here, or delivered anything, in ms. One that still tells its pieces and sends us those of other tasks is busy: its
   * silence counts later.
   */
  idleMs(): number {
    const { clock, standings } = this.#init;
    const nowMs = clock();
    let idleMs = nowMs - this.#lastNewsMs;
    for (const { parent, isSyncing } of this.#states.values()) {
      if (isSyncing) idleMs = Math.min(idleMs, silenceOf(idleMs, nowMs - standings.fedAtMs(parent.hostId)));
    }
    return idleMs;
  }

  /** A parent delivered something. */
  delivered(): void {
    this.#lastNewsMs = this.#init.clock();
  }

  /** Those that are asked. */
  get states(): readonly ParentState[] {
    return [...this.#states.values()];
  }

  get(peerId: string): ParentState | undefined {
    return this.#states.get(peerId);
  }

  /** @returns how many of the parents are new and worth asking */
  add(parents: readonly Parent[]): number {
    let added = 0;
    for (const parent of parents) {
      // A seed that was asked without a scheduler comes without an offer.
      if (parent.offer.host !== undefined) this.#offered.push(parent);
      if (this.#states.has(parent.peerId) || this.#blocked.has(parent.peerId)) continue;
      const isKnown = this.#fallbacks.delete(parent.peerId);
      const why = this.#whyNot(parent);
      if (why !== undefined) {
        this.#init.journal.passedOver(parent, why);
        continue;
      }
      if (!isKnown) added++;
      if (parent.isFallback === true && !this.#isOnePiece) this.#fallbacks.set(parent.peerId, parent);
      else this.#ask(parent);
    }
    if (this.#states.size === 0) this.callFallbacks();
    return added;
  }

  /** Some parents are there that have not been asked yet, since neighbours are. */
  get hasFallbacks(): boolean {
    return this.#fallbacks.size > 0;
  }

  /** The neighbours have nothing for us: asks those who are there for that. */
  callFallbacks(): void {
    const fallbacks = [...this.#fallbacks.values()];
    this.#fallbacks.clear();
    for (const parent of fallbacks) this.#ask(parent);
  }

  #ask(parent: Parent): void {
    this.#init.journal.asked(parent);
    const state: ParentState = {
      parent,
      asked: Infinity,
      address: undefined,
      isPresumed: false,
      refusals: 0,
      lates: 0,
      withoutTurn: 0,
      isStalling: false,
      hasAnswered: false,
      turn: 'none',
      askedAtMs: this.#init.clock(),
      isSyncing: false,
      stop: new AbortController(),
      // What it says of its load would come when the only piece of a task is here.
      use: this.#isOnePiece ? undefined : this.#init.standings.use(parent),
    };
    this.#states.set(parent.peerId, state);
    this.choice.joined(state);
    this.#hosts.set(parent.peerId, parent.hostId);
    this.#lastNewsMs = this.#init.clock();
    this.#init.verification.meet([parent]);
    if (!this.#presume(state)) void this.#sync(state);
  }

  #whyNot({ hostId, isPrivate }: Parent): string | undefined {
    if (hostId === this.#init.hostId) return 'it is this host itself';
    if (isPrivate && this.#init.takesPublicOnly === true)
      return 'it holds as private what only our caller calls public';
    return this.#init.reputation.isTrusted(hostId) ? undefined : 'its host did wrong a short time ago';
  }

  /** Some parent at hand has taken our call and is not stalling: it is there, though it may have nothing yet. */
  get isHeard(): boolean {
    return [...this.#states.values()].some(({ hasAnswered, isStalling }) => hasAnswered && !isStalling);
  }

  /** Drops a parent for the rest of the task, and its host for a while. */
  blame(peerId: string, offence: Offence, pieceNumber = 0): void {
    const state = this.#states.get(peerId);
    if (state === undefined) return;
    this.#init.verification.turnedAway(pieceNumber, state.parent.hostId, offence);
    this.#init.reputation.blame(state.parent.hostId, offence);
    this.#init.onBlamed(state.parent.hostId, offence);
    this.drop(state, OFFENCES[offence]);
  }

  /** Host of a parent that was used at any time. */
  hostOf(peerId: string): string | undefined {
    return this.#hosts.get(peerId);
  }

  /** Leaves a parent alone for the rest of the task. @param why for people */
  drop(state: ParentState, why: string): void {
    this.#init.journal.dropped(state.parent, why);
    this.#blocked.add(state.parent.peerId);
    this.#release(state);
  }

  /** Lets go of all parents. One that has not even taken our call by now would cost the next task the same wait. */
  stop(): void {
    const { clock, latePolicy } = this.#init;
    for (const { hasAnswered, askedAtMs, parent } of [...this.#states.values()]) {
      if (!hasAnswered && clock() - askedAtMs >= latePolicy.silenceMs) this.blame(parent.peerId, 'stalled');
    }
    for (const state of [...this.#states.values()]) this.#release(state);
  }

  get #isOnePiece(): boolean {
    return this.#init.progress.layout.pieceCount === 1;
  }

  /**
   * Of a task of one piece a parent that has finished has all there is to name. When it also said before where it serves pieces, asking it
   * would only cost a round trip as long as that of the piece itself.
   */
  #presume(state: ParentState): boolean {
    const { progress, standings, journal } = this.#init;
    const { parent } = state;
    if (!this.#isOnePiece || parent.isComplete !== true || progress.stored.finishedPieces.has(0)) return false;
    const address = standings.pieceServerOf(parent);
    if (address === undefined) return false;
    state.address = address;
    state.isPresumed = true;
    state.asked = 1;
    this.choice.learned(state, 0);
    journal.announced(parent);
    return true;
  }

  async #sync(state: ParentState): Promise<void> {
    const { parents, progress, signal, logger } = this.#init;
    const { parent } = state;
    state.isSyncing = true;
    // Not only what is wanted now: another caller may want more while the parent is still telling.
    const interested: number[] = [];
    for (let number = 0; number < progress.layout.pieceCount; number++) {
      if (!progress.stored.finishedPieces.has(number)) interested.push(number);
    }
    state.asked = interested.length;
    try {
      const request = { taskId: progress.stored.taskId, interested };
      const either = AbortSignal.any([signal, state.stop.signal]);
      const onAnswer = () => {
        state.hasAnswered = true;
      };
      for await (const announcement of parents.syncPieces(parent, request, { signal: either, onAnswer })) {
        state.hasAnswered = true;
        if (this.#learn(state, announcement)) this.#init.onNews({ state, number: announcement.number });
      }
      state.isSyncing = false;
    } catch (error) {
      if (signal.aborted || state.stop.signal.aborted) return;
      logger.debug(
        { parent: parent.hostId, taskId: progress.stored.taskId, err: error },
        'a parent stopped telling its pieces',
      );
      state.isSyncing = false;
      // What it announced before may still be had; a dead piece server shows with the first fetch.
      if (state.address === undefined) {
        // Whoever offered it should know that others would wait for it in vain.
        this.#init.onPieceFailed(undefined, parent);
        const offence = offenceOf(error);
        if (offence === undefined) this.drop(state, 'it does not have the task');
        else this.blame(parent.peerId, offence);
      }
    }
    this.#init.onNews();
  }

  /** @returns whether the announcement names a piece that exists and was not known of this parent */
  #learn(state: ParentState, announcement: PieceAnnouncement): boolean {
    const { number, offset, length, ip, tcpPort, keepsAlive = false, takesTurns = false } = announcement;
    const { layout } = this.#init.progress;
    if (number >= layout.pieceCount) return false;
    const expected = pieceRange(layout, number);
    if (expected.start !== offset || expected.length !== length) {
      this.#init.logger.warn(
        { parent: state.parent.hostId, taskId: this.#init.progress.stored.taskId, piece: number },
        'a parent cuts the task into other pieces and is left alone',
      );
      this.drop(state, 'it cuts the task into other pieces');
      return false;
    }
    const isMet = state.address?.takesTurns === takesTurns;
    state.address = { ip, tcpPort, keepsAlive, takesTurns };
    this.#init.standings.learnedPieceServer(state.parent, state.address);
    if (!isMet) this.#init.onMet(state);
    // What we have already is no news: who got it from us gives us nothing.
    if (!this.#init.progress.stored.finishedPieces.has(number)) this.#lastNewsMs = this.#init.clock();
    if (!this.choice.learned(state, number)) return false;
    this.#init.journal.announced(state.parent);
    return true;
  }

  /** What was presumed of it is not so, which is not its fault. */
  askAfterAll(state: ParentState, number: number): void {
    this.#init.standings.lostPieceServer(state.parent.hostId);
    state.isPresumed = false;
    state.address = undefined;
    this.choice.lacks(state, number);
    void this.#sync(state);
  }

  #release(state: ParentState): void {
    if (!this.#states.delete(state.parent.peerId)) return;
    this.choice.left(state);
    this.#init.onLeft(state);
    state.stop.abort();
    state.use?.[Symbol.dispose]();
  }
}
