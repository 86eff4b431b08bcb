import type { Parent, PieceAnnouncement, PieceSink, SinkFile } from '@d7y/peer-protocol';
import type { PieceRecord } from '@d7y/piece';
import { pieceRange, PieceSet } from '@d7y/piece';
import type { PieceCandidateParent } from '@d7y/swarm';
import { chooseHolder, choosePiece } from '@d7y/swarm';
import type { Tracer } from '@opentelemetry/api';
import { SpanKind } from '@opentelemetry/api';
import type { ByteLimiter, Logger } from '@d7y/service-kit';
import { withSpan } from '@d7y/service-kit';
import type { Journal } from './journal.ts';
import type { LatePolicy } from './lateness.ts';
import { isLate, isStuck, remainingMs } from './lateness.ts';
import type { ParentStandings, PieceServerAddress } from './parent-standing.ts';
import type { Runner } from './piece-race.ts';
import { PieceRace, RaceLostError, stateOf } from './piece-race.ts';
import { pieceOrder } from './piece-order.ts';
import type { Parents } from './ports/parents.ts';
import type { Progress } from './progress.ts';
import type { Offence, Reputation } from './reputation.ts';
import { TransferMeter } from './transfer-meter.ts';
import type { Verification } from './verification.ts';

/** A parent that says "no such piece" or "busy" this often is left alone for the task. */
const MAX_REFUSALS = 3;
/** Pieces asked of one parent at the same time: few, so that it serves many children evenly. */
const MAX_PER_PARENT = 4;
/** The same, with those that were asked of another one first. */
const MAX_PER_PARENT_HEDGED = 8;
/** Pieces asked of a second parent at the same time, beside those that are asked of one. */
const MAX_HEDGES = 4;
/** A parent that was so late for this many pieces in a row that others had to bring them is left alone. */
const MAX_LATE = 3;
/** How often transfers are looked at, in ms. */
const CHECK_MS = 50;

/** The bytes of a piece contradict what their sender, or somebody who got them from the origin, says of them. */
const WRONG_BYTES = new Set(['PIECE_DIGEST_MISMATCH', 'PIECE_MISMATCH', 'PIECE_REFUTED']);

/** For people. */
const OFFENCES: Readonly<Record<Offence, string>> = {
  wrongBytes: 'it sent wrong bytes',
  falseVoucher: 'it vouched for wrong bytes',
  stalled: 'it stopped sending',
  unreachable: 'it could not be reached',
};

/** A parent of this task: what it has, what it owes us. */
interface ParentState {
  readonly parent: Parent;
  readonly pieces: PieceSet;
  /** Of so many pieces it was asked whether it has them. */
  asked: number;
  address: PieceServerAddress | undefined;
  /** What it has, and where, was not asked but concluded from its offer and from what it said in earlier tasks. */
  isPresumed: boolean;
  inFlight: number;
  refusals: number;
  /** Pieces in a row that others had to bring. */
  lates: number;
  /** A transfer from it was stuck, and none has succeeded since: it gets one piece at a time, and only what nobody else has. */
  isStalling: boolean;
  /** It has taken the call by which it tells its pieces. */
  hasAnswered: boolean;
  readonly askedAtMs: number;
  /** It still tells of new pieces. */
  isSyncing: boolean;
  readonly stop: AbortController;
  readonly use: Disposable | undefined;
}

/** A transfer, with the parent that is asked. */
interface PeerRunner extends Runner {
  readonly state: ParentState;
  isLate: boolean;
}

export interface PeerFetcherInit {
  readonly progress: Progress;
  readonly parents: Parents;
  readonly reputation: Reputation;
  /** Judges the bytes that parents send. */
  readonly verification: Pick<Verification, 'meet' | 'wantsSha256' | 'judge' | 'turnedAway'>;
  readonly hostId: string;
  readonly standings: ParentStandings;
  /** Takes down which parents are asked, which not, and why. */
  readonly journal: Journal;
  readonly latePolicy: LatePolicy;
  /** Pieces asked for at the same time, hedges not counted. */
  readonly concurrency: number;
  /** Drawn on for each chunk of the piece. */
  readonly limitersFor: (pieceNumber: number) => readonly ByteLimiter[];
  /** Pieces that readers wait for, the most urgent first. */
  readonly urgent: () => Iterable<number>;
  readonly clock: () => number;
  readonly random: () => number;
  readonly tracer: Tracer;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onPiece: (piece: PieceRecord) => void;
  readonly onPieceFailed: (pieceNumber: number | undefined, parent: Parent) => void;
  /** A host is not asked for a while. */
  readonly onBlamed: (hostId: string, offence: Offence) => void;
  /** No parent is left that has, or may come to have, a missing piece. */
  readonly onExhausted: () => void;
  /** There are late pieces that no other parent has; said again while that is so. */
  readonly onLate: () => void;
  /** The store failed: no parent is to blame, and no other one helps. */
  readonly onStoreFailure: (error: unknown) => void;
}

/** Fetches the missing pieces of a task from its parents: several pieces and several parents at once. */
export class PeerFetcher {
  readonly #init: PeerFetcherInit;
  readonly #parents = new Map<string, ParentState>();
  /** Never asked again for this task. */
  readonly #blocked = new Set<string>();
  readonly #offered: Parent[] = [];
  readonly #hosts = new Map<string, string>();
  readonly #fetching = new Set<Promise<void>>();
  /** Pieces under way. */
  readonly #races = new Map<
    number,
    { readonly race: PieceRace; readonly runners: Set<PeerRunner>; readonly asked: Set<string> }
  >();
  #checks: NodeJS.Timeout | undefined;
  #storeFailure: unknown;
  #inFlight = 0;
  #lastProgressMs: number;

  constructor(init: PeerFetcherInit) {
    this.#init = init;
    this.#lastProgressMs = init.clock();
  }

  /** All parents a scheduler has offered so far, also those that were dropped. */
  get offered(): readonly Parent[] {
    return this.#offered;
  }

  /** Some parent has, or may come to have, what is missing. */
  get isLive(): boolean {
    if (this.#inFlight > 0) return true;
    const missing = this.#init.progress.missing();
    return [...this.#parents.values()].some(({ isSyncing, pieces }) => isSyncing || intersects(missing, pieces));
  }

  /** Time since a parent announced or delivered anything, in ms; 0 while pieces are on their way. */
  idleMs(): number {
    return this.#inFlight > 0 ? 0 : this.#init.clock() - this.#lastProgressMs;
  }

  /** @returns how many of the parents are new and worth asking */
  add(parents: readonly Parent[]): number {
    let added = 0;
    for (const parent of parents) {
      // A seed that was asked without a scheduler comes without an offer.
      if (parent.offer.host !== undefined) this.#offered.push(parent);
      if (this.#parents.has(parent.peerId) || this.#blocked.has(parent.peerId)) continue;
      const why = this.#whyNot(parent);
      if (why !== undefined) {
        this.#init.journal.passedOver(parent, why);
        continue;
      }
      this.#init.journal.asked(parent);
      const state: ParentState = {
        parent,
        pieces: new PieceSet(),
        asked: Infinity,
        address: undefined,
        isPresumed: false,
        inFlight: 0,
        refusals: 0,
        lates: 0,
        isStalling: false,
        hasAnswered: false,
        askedAtMs: this.#init.clock(),
        isSyncing: false,
        stop: new AbortController(),
        // What it says of its load would come when the only piece of a task is here.
        use: this.#isOnePiece ? undefined : this.#init.standings.use(parent),
      };
      this.#parents.set(parent.peerId, state);
      this.#hosts.set(parent.peerId, parent.hostId);
      this.#lastProgressMs = this.#init.clock();
      added++;
      this.#init.verification.meet([parent]);
      if (!this.#presume(state)) void this.#sync(state);
    }
    return added;
  }

  #whyNot({ hostId }: Parent): string | undefined {
    if (hostId === this.#init.hostId) return 'it is this host itself';
    return this.#init.reputation.isTrusted(hostId) ? undefined : 'its host did wrong a short time ago';
  }

  /** Some parent at hand has taken our call and is not stalling: it is there, though it may have nothing yet. */
  get isHeard(): boolean {
    return [...this.#parents.values()].some(({ hasAnswered, isStalling }) => hasAnswered && !isStalling);
  }

  /** Pieces under way that are stuck with all who were asked, and that nobody else has. */
  latePieces(): number[] {
    const late: number[] = [];
    for (const number of this.#races.keys()) if (this.#isHopeless(number)) late.push(number);
    return late;
  }

  /**
   * Gives a piece that is missing, or under way, to somebody else, who must finish or unclaim it.
   * @returns false when it is here, or somebody else's already
   */
  async cede(number: number): Promise<boolean> {
    const under = this.#races.get(number);
    return under === undefined ? this.#init.progress.claim(number) : under.race.cede();
  }

  /** Starts as many fetches as the limits allow; to be called whenever pieces became missing. */
  pump(): void {
    while (this.#inFlight < this.#init.concurrency && !this.#init.signal.aborted) {
      const choice = this.#choose();
      if (choice === undefined || !this.#init.progress.claim(choice.pieceNumber)) break;
      this.#begin(choice.pieceNumber, choice.state);
    }
    if (!this.#init.progress.isSatisfied && !this.isLive) this.#init.onExhausted();
  }

  /** Drops a parent for the rest of the task, and its host for a while. */
  blame(peerId: string, offence: Offence, pieceNumber = 0): void {
    const state = this.#parents.get(peerId);
    if (state === undefined) return;
    this.#init.verification.turnedAway(pieceNumber, state.parent.hostId, offence);
    this.#init.reputation.blame(state.parent.hostId, offence);
    this.#init.onBlamed(state.parent.hostId, offence);
    this.#drop(state, OFFENCES[offence]);
  }

  /** Host of a parent that was used at any time. */
  hostOf(peerId: string): string | undefined {
    return this.#hosts.get(peerId);
  }

  /** Lets go of all parents. One that has not even taken our call by now would cost the next task the same wait. */
  stop(): void {
    const { clock, latePolicy } = this.#init;
    for (const { hasAnswered, askedAtMs, parent } of [...this.#parents.values()]) {
      if (!hasAnswered && clock() - askedAtMs >= latePolicy.silenceMs) this.blame(parent.peerId, 'stalled');
    }
    for (const state of [...this.#parents.values()]) this.#release(state);
    clearInterval(this.#checks);
    this.#checks = undefined;
  }

  /** Resolves when no piece is under way, whatever became of it. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#fetching);
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
    if (!this.#isOnePiece || parent.offer.state !== 'Succeeded' || progress.stored.finishedPieces.has(0)) return false;
    const address = standings.pieceServerOf(parent);
    if (address === undefined) return false;
    state.address = address;
    state.isPresumed = true;
    state.asked = 1;
    state.pieces.add(0);
    journal.announced(parent);
    return true;
  }

  #choose(): { pieceNumber: number; state: ParentState } | undefined {
    const { progress, random, urgent } = this.#init;
    const parents = [...this.#parents.values()];
    const wanted = progress.missing();
    const choice = choosePiece({
      wanted,
      parents: this.#candidates(),
      urgent: urgent(),
      order: pieceOrder({
        finished: progress.stored.finishedPieces.size,
        parents: parents.map(({ parent, pieces, asked }) => ({
          isSeed: parent.isSeed,
          isComplete: pieces.size >= asked,
        })),
      }),
      maxPerParent: MAX_PER_PARENT,
      random,
    });
    const state = choice && this.#parents.get(choice.parentId);
    if (state === undefined || choice === undefined) return this.#chooseTrial(wanted);
    return { pieceNumber: choice.pieceNumber, state };
  }

  /**
   * What only stalling parents have is asked of one of them that has nothing to do: whether it still stalls shows with a new transfer alone,
   * and nobody else would ever bring the piece.
   */
  #chooseTrial(wanted: PieceSet): { pieceNumber: number; state: ParentState } | undefined {
    const states = [...this.#parents.values()].filter(({ address }) => address !== undefined);
    const resting = states.filter(({ isStalling, inFlight }) => isStalling && inFlight === 0);
    if (resting.length === 0) return undefined;
    const others = states.filter(({ isStalling }) => !isStalling);
    for (const pieceNumber of wanted) {
      if (others.some(({ pieces }) => pieces.has(pieceNumber))) continue;
      const state = resting.find(({ pieces }) => pieces.has(pieceNumber));
      if (state !== undefined) return { pieceNumber, state };
    }
    return undefined;
  }

  #candidates(except: ReadonlySet<string> = new Set()): PieceCandidateParent[] {
    const candidates: PieceCandidateParent[] = [];
    for (const { parent, pieces, inFlight, address, isStalling } of this.#parents.values()) {
      if (address === undefined || isStalling || except.has(parent.peerId)) continue;
      candidates.push({ id: parent.peerId, pieces, inFlight, weight: this.#init.standings.weight(parent) });
    }
    return candidates;
  }

  #isHopeless(number: number): boolean {
    const under = this.#races.get(number);
    if (under === undefined || under.race.isOver) return false;
    const { race, runners, asked } = under;
    const { originSilenceMs: silenceMs, floorBytesPerSec } = this.#init.latePolicy;
    return (
      [...runners].every((runner) => isStuck(stateOf(race.range, runner), { silenceMs, floorBytesPerSec })) &&
      this.#otherHolder(number, asked) === undefined
    );
  }

  /** @param maxPerParent no limit finds those that have no free slot now as well */
  #otherHolder(number: number, asked: ReadonlySet<string>, maxPerParent = Infinity): ParentState | undefined {
    const options = { parents: this.#candidates(asked), maxPerParent, random: this.#init.random };
    const peerId = chooseHolder(number, options);
    return peerId === undefined ? undefined : this.#parents.get(peerId);
  }

  /** Looks at what is under way: what is late is asked of a second parent; when both are late, of a third in place of the slower one. */
  #check(): void {
    const { progress, standings, latePolicy, signal } = this.#init;
    if (signal.aborted) return;
    const isEndgame = progress.missing().size === 0;
    let hedges = 0;
    for (const { runners } of this.#races.values()) hedges += Math.max(runners.size - 1, 0);
    let isHelpNeeded = false;
    for (const [number, { race, runners, asked }] of this.#races) {
      for (const runner of runners) {
        if (isStuck(stateOf(race.range, runner), latePolicy)) runner.state.isStalling = true;
        runner.isLate ||= isLate(stateOf(race.range, runner), standings.typicalBytesPerSec, isEndgame, latePolicy);
      }
      if (race.isOver || ![...runners].every((runner) => runner.isLate)) continue;
      const other = this.#otherHolder(number, asked, MAX_PER_PARENT_HEDGED);
      isHelpNeeded ||= other === undefined && this.#isHopeless(number);
      if (other === undefined || (runners.size === 1 && hedges >= MAX_HEDGES)) continue;
      if (runners.size > 1) slowest(race, runners)?.stop.abort(new RaceLostError(number));
      else hedges++;
      this.#run(number, other);
    }
    if (isHelpNeeded) this.#init.onLate();
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
        if (this.#learn(state, announcement)) this.pump();
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
        this.blame(parent.peerId, offenceOf(error) ?? 'unreachable');
      }
    }
    this.pump();
  }

  /** @returns whether the announcement names a piece that exists and was not known of this parent */
  #learn(state: ParentState, { number, offset, length, ip, tcpPort, keepsAlive = false }: PieceAnnouncement): boolean {
    const { layout } = this.#init.progress;
    if (number >= layout.pieceCount) return false;
    const expected = pieceRange(layout, number);
    if (expected.start !== offset || expected.length !== length) {
      this.#init.logger.warn(
        { parent: state.parent.hostId, taskId: this.#init.progress.stored.taskId, piece: number },
        'a parent cuts the task into other pieces and is left alone',
      );
      this.#drop(state, 'it cuts the task into other pieces');
      return false;
    }
    state.address = { ip, tcpPort, keepsAlive };
    this.#init.standings.learnedPieceServer(state.parent, state.address);
    this.#lastProgressMs = this.#init.clock();
    if (!state.pieces.add(number)) return false;
    this.#init.journal.announced(state.parent);
    return true;
  }

  /** A piece that was claimed for it. */
  #begin(number: number, state: ParentState): void {
    const { progress } = this.#init;
    const race = new PieceRace(number, pieceRange(progress.layout, number), this.#sink());
    this.#races.set(number, { race, runners: new Set(), asked: new Set() });
    this.#run(number, state);
    this.#checks ??= setInterval(() => this.#check(), CHECK_MS).unref();
  }

  /** The store, which tells by itself when it fails. */
  #sink(): PieceSink {
    const { stored } = this.#init.progress;
    const write: PieceSink['write'] = async (position, bytes) => {
      try {
        await stored.write(position, bytes);
      } catch (error) {
        throw this.#storeFailed(error);
      }
    };
    const open = stored.openFile?.bind(stored);
    if (open === undefined) return { write };
    const openFile = async (): Promise<SinkFile> => {
      try {
        const file = await open();
        return {
          fd: file.fd,
          wrote: () => undefined,
          recover: async (error) => {
            try {
              await file.recover(error);
            } catch (translated) {
              throw this.#storeFailed(translated);
            }
          },
          [Symbol.dispose]: () => file[Symbol.dispose](),
        };
      } catch (error) {
        throw this.#storeFailed(error);
      }
    };
    return { write, openFile };
  }

  #storeFailed(error: unknown): unknown {
    this.#storeFailure = error;
    this.#init.onStoreFailure(error);
    return error;
  }

  #run(number: number, state: ParentState): void {
    const under = this.#races.get(number);
    if (under === undefined) return;
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const { clock, limitersFor, standings } = this.#init;
    const limiter = standings.limiterOf(state.parent.hostId);
    const limiters = [...(limiter === undefined ? [] : [limiter]), ...limitersFor(number)];
    const runner: PeerRunner = {
      ...{ settled, state },
      meter: new TransferMeter(clock, limiters),
      stop: new AbortController(),
      expectedBytesPerSec: standings.expectedBytesPerSec(state.parent.hostId) ?? this.#init.latePolicy.floorBytesPerSec,
      isLate: false,
    };
    under.race.runners.add(runner);
    under.runners.add(runner);
    under.asked.add(state.parent.peerId);
    this.#inFlight++;
    state.inFlight++;
    const fetching = this.#transfer(under.race, runner).finally(() => {
      under.race.drop(runner);
      under.runners.delete(runner);
      resolve();
      this.#inFlight--;
      state.inFlight--;
      if (under.runners.size === 0) this.#settle(number, under.race);
      if (!this.#init.signal.aborted) this.pump();
    });
    this.#fetching.add(fetching);
    void fetching.finally(() => this.#fetching.delete(fetching));
  }

  /** Nobody is at this piece any more. */
  #settle(number: number, race: PieceRace): void {
    this.#races.delete(number);
    // One that was decided is finished, or in other hands.
    if (!race.isOver) this.#init.progress.unclaim(number);
    if (this.#races.size > 0) return;
    clearInterval(this.#checks);
    this.#checks = undefined;
  }

  /** Never rejects. */
  async #transfer(race: PieceRace, runner: PeerRunner): Promise<void> {
    const { progress, parents, verification, clock, tracer, signal, standings } = this.#init;
    const { state, meter, stop } = runner;
    const { parent, address } = state;
    const { pieceNumber: number, range: expected } = race;
    if (address === undefined) return;
    const { taskId } = progress.stored;
    const startedAtMs = clock();
    try {
      const attributes = {
        task_id: taskId,
        piece_number: number,
        parent_id: parent.peerId,
        parent_addr: `${address.ip}:${address.tcpPort}`,
      };
      const either = AbortSignal.any([signal, state.stop.signal, stop.signal]);
      const received = await withSpan(tracer, 'download_piece', { kind: SpanKind.CLIENT, attributes }, () =>
        parents.fetchPiece({ taskId, ...address, number, expected }, race.sinkOf(runner), {
          signal: either,
          limiters: [meter],
          sha256: verification.wantsSha256(number),
        }),
      );
      const isVerified = this.#judge(number, received.sha256, parent);
      if (!race.win(runner)) return progress.refuse(number);
      standings.succeeded(parent.hostId, expected.length, meter.elapsedMs);
      this.#init.journal.received(parent, expected.length);
      state.lates = 0;
      state.isStalling = false;
      state.hasAnswered = true;
      const now = clock();
      const piece: PieceRecord = {
        number,
        offset: expected.start,
        length: expected.length,
        digest: received.digest,
        sha256: received.sha256,
        parentId: parent.peerId,
        trafficType: 'remotePeer',
        isVerified,
        costMs: now - startedAtMs,
        createdAtMs: now,
      };
      this.#lastProgressMs = now;
      progress.finish(piece);
      this.#init.onPiece(piece);
    } catch (error) {
      if (signal.aborted || state.stop.signal.aborted) return;
      if (error === this.#storeFailure) return;
      if (error instanceof RaceLostError || stop.signal.aborted) this.#lost(runner);
      else this.#fetchFailed(state, number, error);
    }
  }

  /** @returns whether the piece is verified. @throws {PieceRefutedError} */
  #judge(number: number, sha256: string | undefined, { hostId }: Parent): boolean {
    try {
      return this.#init.verification.judge(number, sha256, hostId);
    } catch (error) {
      this.#init.progress.refuse(number);
      throw error;
    }
  }

  /** Somebody else brought the piece: that says something of a parent that was late. */
  #lost({ state, meter, isLate: wasLate }: PeerRunner): void {
    if (!wasLate) return;
    this.#init.standings.failed(state.parent.hostId, meter.bytes, meter.elapsedMs);
    if (++state.lates < MAX_LATE) return;
    this.#init.onPieceFailed(undefined, state.parent);
    this.blame(state.parent.peerId, 'stalled');
  }

  #fetchFailed(state: ParentState, number: number, error: unknown): void {
    const { parent } = state;
    const offence = offenceOf(error);
    if (state.isPresumed && (offence === undefined || offence === 'unreachable'))
      return this.#askAfterAll(state, number);
    this.#init.logger.warn(
      { parent: parent.hostId, taskId: this.#init.progress.stored.taskId, piece: number, err: error },
      'a piece could not be had from a parent',
    );
    this.#init.onPieceFailed(number, parent);
    this.#init.standings.failed(parent.hostId);
    this.#init.journal.failed(parent);
    if (offence !== undefined) {
      return this.blame(parent.peerId, offence, number);
    }
    state.pieces.delete(number);
    if (++state.refusals >= MAX_REFUSALS) this.#drop(state, 'it had no piece that it was asked for');
  }

  /** What was presumed of it is not so, which is not its fault. */
  #askAfterAll(state: ParentState, number: number): void {
    this.#init.standings.lostPieceServer(state.parent.hostId);
    state.isPresumed = false;
    state.address = undefined;
    state.pieces.delete(number);
    void this.#sync(state);
  }

  #drop(state: ParentState, why: string): void {
    this.#init.journal.dropped(state.parent, why);
    this.#blocked.add(state.parent.peerId);
    this.#release(state);
  }

  #release(state: ParentState): void {
    if (!this.#parents.delete(state.parent.peerId)) return;
    state.stop.abort();
    state.use?.[Symbol.dispose]();
  }
}

function slowest(race: PieceRace, runners: Iterable<PeerRunner>): PeerRunner | undefined {
  let worst: PeerRunner | undefined;
  let worstMs = -1;
  for (const runner of runners) {
    const ms = remainingMs(stateOf(race.range, runner));
    if (ms > worstMs) [worst, worstMs] = [runner, ms];
  }
  return worst;
}

/** What a failed call or transfer says of the parent; undefined when it answered in good order that it cannot serve. */
function offenceOf(error: unknown): Offence | undefined {
  const { code, phase } = error as { code?: unknown; phase?: unknown };
  if (code === 'PIECE_REFUSED' || code === 'PIECE_RECEIVER_LOST') return undefined;
  if (WRONG_BYTES.has(String(code))) return 'wrongBytes';
  // A host that accepts a connection and then says nothing would cost every task the same wait again.
  const isSilent = code === 'PARENT_SILENT' || code === 'PIECE_STALLED' || phase === 'header';
  return isSilent ? 'stalled' : 'unreachable';
}

function intersects(wanted: PieceSet, held: PieceSet): boolean {
  for (const number of wanted) if (held.has(number)) return true;
  return false;
}
