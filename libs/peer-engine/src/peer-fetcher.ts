import type { OfferedTurn, Parent, PieceSink } from '@d7y/peer-protocol';
import type { PieceRecord, ReadonlyPieceSet } from '@d7y/piece';
import { pieceRange } from '@d7y/piece';
import type { Tracer } from '@opentelemetry/api';
import { SpanKind } from '@opentelemetry/api';
import type { ByteLimiter, Logger } from '@d7y/service-kit';
import { withSpan } from '@d7y/service-kit';
import type { PeerRunner, UnderWay } from './hedging.ts';
import { Hedging } from './hedging.ts';
import type { IntakeBoard } from './intake-board.ts';
import type { Journal } from './journal.ts';
import type { LatePolicy } from './lateness.ts';
import { offenceOf } from './offence.ts';
import type { ParentStandings } from './parent-standing.ts';
import { PieceRace, RaceLostError } from './piece-race.ts';
import type { Parents } from './ports/parents.ts';
import type { ClaimHolder, Progress } from './progress.ts';
import type { Offence, Reputation } from './reputation.ts';
import { storeSinkOf } from './store-sink.ts';
import type { ParentState, PieceNews } from './task-parents.ts';
import { TaskParents } from './task-parents.ts';
import { TransferMeter } from './transfer-meter.ts';
import { TurnTaking } from './turn-taking.ts';
import type { Verification } from './verification.ts';

/** A parent that says "no such piece" or "busy" this often is left alone for the task. */
const MAX_REFUSALS = 3;
/** Pieces asked for that nobody has begun to send: few, since each is bound to its parent while others may come to have it. */
const MAX_UNANSWERED = 3;
/** After so long in a queue, in ms, somebody else who comes to have the piece is worth asking instead. */
const QUEUED_MS = 30;
/** A parent that was so late for this many pieces in a row that others had to bring them is left alone. */
const MAX_LATE = 3;
/** Requests in a row for which a busy parent may have no turn before that counts against it: four at a time, for six minutes. */
const MAX_WITHOUT_TURN = 144;
/** Transfers that our own threads may die over before that counts against the parent. */
const MAX_LOST_RECEIVERS = 16;

export interface PeerFetcherInit {
  readonly progress: Progress;
  readonly parents: Parents;
  readonly reputation: Reputation;
  /** Judges the bytes that parents send. */
  readonly verification: Pick<Verification, 'meet' | 'wantsSha256' | 'judge' | 'turnedAway'>;
  readonly hostId: string;
  /** @see TaskParentsInit.takesPublicOnly */
  readonly takesPublicOnly?: boolean;
  readonly standings: ParentStandings;
  /** Takes down which parents are asked, which not, and why. */
  readonly journal: Journal;
  readonly latePolicy: LatePolicy;
  /** Pieces asked for at the same time, hedges not counted. */
  readonly concurrency: number;
  /** After so long without any piece under way parents are asked that were offered for that. */
  readonly fallbackMs: number;
  /** After so long without any piece under way parents are asked that want their children to wait for turns. */
  readonly turnWaitMs: number;
  /** What this host receives, over all tasks. */
  readonly intake: IntakeBoard;
  /** Drawn on for each chunk of the piece. */
  readonly limitersFor: (pieceNumber: number) => readonly ByteLimiter[];
  /** Pieces that readers wait for, the most urgent first. */
  readonly urgent: () => Iterable<number>;
  /** Pieces that few in the swarm have, where somebody said so. */
  readonly hotPieces: () => ReadonlyPieceSet | undefined;
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
export class PeerFetcher implements ClaimHolder {
  readonly #init: PeerFetcherInit;
  /** Who is asked. */
  readonly parents: TaskParents;
  readonly #hedging: Hedging;
  readonly #turns: TurnTaking;
  readonly #fetching = new Set<Promise<void>>();
  /** Pieces under way. */
  readonly #races = new Map<number, UnderWay>();
  #storeFailure: unknown;
  readonly #sink: PieceSink;
  #inFlight = 0;
  /** Of these, those that nobody has begun to send and that are not known to be stuck. */
  #unanswered = 0;
  #lostReceivers = 0;
  #starving: NodeJS.Timeout | undefined;

  constructor(init: PeerFetcherInit) {
    this.#init = init;
    this.#sink = storeSinkOf(init.progress.stored, (error) => {
      this.#storeFailure = error;
      init.onStoreFailure(error);
    });
    this.parents = new TaskParents({
      ...init,
      onMet: (state) => this.#turns.met(state),
      onLeft: (state) => this.#turns.left(state),
      onNews: (news) => {
        if (news !== undefined) this.#rebind(news);
        this.pump();
      },
    });
    this.#turns = new TurnTaking({
      ...init,
      turns: init.parents.turns,
      choice: this.parents.choice,
      waitMs: init.turnWaitMs,
      take: ({ pieceNumber, state }, turn) => {
        if (init.progress.claim(pieceNumber, this)) this.#begin(pieceNumber, state, turn);
        else turn.endsIn(0);
        this.#turns.refresh(this.#inFlight > 0);
      },
      onServing: ({ parent }) => init.standings.serving(parent.hostId, init.clock()),
      onRule: () => this.pump(),
    });
    this.#hedging = new Hedging({
      ...init,
      parents: this.parents,
      underWay: this.#races,
      ask: (number, state) => this.#run(number, state),
    });
  }

  /** Some parent has, or may come to have, what is missing. */
  get isLive(): boolean {
    if (this.#inFlight > 0 || this.parents.hasFallbacks) return true;
    const missing = this.#init.progress.missing();
    return this.parents.states.some((state) => state.isSyncing || this.parents.choice.hasAnyOf(state, missing));
  }

  /** Time since a parent announced what is not here, or delivered anything, in ms; 0 while pieces are on their way. */
  idleMs(): number {
    return this.#inFlight > 0 ? 0 : this.parents.idleMs();
  }

  /**
   * Gives a piece that is missing, or under way, to somebody else, who must finish or unclaim it.
   * @returns false when it is here, or somebody else's already
   */
  async cede(number: number, holder: ClaimHolder): Promise<boolean> {
    const { progress } = this.#init;
    const under = this.#races.get(number);
    if (under === undefined) return progress.claim(number, holder);
    if (!(await under.race.cede())) return false;
    progress.handOver(number, holder);
    return true;
  }

  isFetching(number: number): boolean {
    return this.#races.has(number);
  }

  /** Starts as many fetches as the limits allow; to be called whenever pieces became missing. */
  pump(): void {
    while (this.#hasRoom && !this.#init.signal.aborted) {
      const { progress, urgent, hotPieces } = this.#init;
      const mayAsk = (state: ParentState): boolean => this.#mayAsk(state);
      const choice = this.parents.choice.pick({ wanted: progress.missing(), urgent, hot: hotPieces(), mayAsk });
      if (choice === undefined || !this.#init.progress.claim(choice.pieceNumber, this)) break;
      this.#begin(choice.pieceNumber, choice.state);
    }
    this.#turns.refresh(this.#inFlight > 0);
    this.#watchStarvation();
    if (!this.#init.progress.isSatisfied && !this.isLive) this.#init.onExhausted();
  }

  /** Those that want to be waited for are asked one piece, when waiting has brought nothing for long. */
  #mayAsk(state: ParentState): boolean {
    return !this.#turns.isWaitedFor(state) || (this.#turns.isTired && this.#inFlight === 0);
  }

  get #hasRoom(): boolean {
    return this.#inFlight < this.#init.concurrency && this.#unanswered < MAX_UNANSWERED;
  }

  /**
   * A parent has come to have a piece for which we are in the queue of another one. Half of those who wait there go over to it: all who wait
   * hear of it at the same time.
   */
  #rebind({ state, number }: PieceNews): void {
    const under = this.#races.get(number);
    const [runner, ...others] = under?.runners ?? [];
    if (under === undefined || runner === undefined || others.length > 0 || under.asked.has(state.parent.peerId))
      return;
    const { bytes, elapsedMs } = runner.meter;
    if (this.#turns.isWaitedFor(state)) return;
    if (bytes > 0 || elapsedMs < QUEUED_MS || this.parents.choice.inFlightOf(state) > 0) return;
    if (this.#init.random() < 0.5) return;
    this.#run(number, state);
    runner.stop.abort(new RaceLostError(number));
  }

  /** When nothing has been under way for a while though pieces are missing, those are asked who are there for that. */
  #watchStarvation(): void {
    const { progress, fallbackMs, signal } = this.#init;
    const isStarving =
      this.#inFlight === 0 && this.parents.hasFallbacks && progress.missing().size > 0 && !signal.aborted;
    if (!isStarving) {
      clearTimeout(this.#starving);
      this.#starving = undefined;
      return;
    }
    this.#starving ??= setTimeout(() => this.parents.callFallbacks(), fallbackMs).unref();
  }

  /** Pieces under way that are stuck with all who were asked, and that nobody else has. */
  latePieces(): number[] {
    return this.#hedging.latePieces();
  }

  /** Lets go of all parents. */
  stop(): void {
    clearTimeout(this.#starving);
    this.#turns.stop();
    this.parents.stop();
    this.#hedging.stop();
  }

  /** Resolves when no piece is under way, whatever became of it. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#fetching);
  }

  /** A piece that was claimed for it. */
  #begin(number: number, state: ParentState, turn?: OfferedTurn): void {
    const { progress } = this.#init;
    const race = new PieceRace(number, pieceRange(progress.layout, number), this.#sink);
    this.#races.set(number, { race, runners: new Set(), asked: new Set() });
    this.#run(number, state, turn);
    this.#hedging.start();
  }

  /** @param turn the parent has a place for it */
  #run(number: number, state: ParentState, turn?: OfferedTurn): void {
    const under = this.#races.get(number);
    if (under === undefined) return;
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const { clock, limitersFor, standings } = this.#init;
    const limiter = standings.limiterOf(state.parent.hostId);
    const incoming = this.#init.intake.incoming(under.race.range.length, turn);
    const limiters = [incoming, ...(limiter === undefined ? [] : [limiter]), ...limitersFor(number)];
    let isUnanswered = true;
    const answered = (): void => {
      if (isUnanswered) this.#unanswered--;
      isUnanswered = false;
    };
    const runner: PeerRunner = {
      ...{ settled, state },
      meter: new TransferMeter(clock, limiters, () => {
        answered();
        queueMicrotask(() => this.pump());
      }),
      onStuck: () => {
        answered();
        this.pump();
      },
      stop: new AbortController(),
      expectedBytesPerSec: standings.expectedBytesPerSec(state.parent.hostId) ?? this.#init.latePolicy.floorBytesPerSec,
      isLate: false,
    };
    under.race.runners.add(runner);
    under.runners.add(runner);
    under.asked.add(state.parent.peerId);
    this.#inFlight++;
    this.#unanswered++;
    this.parents.choice.begun(state);
    const fetching = this.#transfer(under.race, runner).finally(() => {
      incoming[Symbol.dispose]();
      under.race.drop(runner);
      under.runners.delete(runner);
      resolve();
      this.#inFlight--;
      answered();
      this.parents.choice.ended(state);
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
    if (!race.isOver) this.#init.progress.unclaim(number, this);
    if (this.#races.size === 0) this.#hedging.stop();
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
      standings.fed(parent.hostId, clock());
      this.#init.journal.received(parent, expected.length);
      state.lates = 0;
      state.withoutTurn = 0;
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
      this.parents.delivered();
      progress.finish(piece);
      this.#init.onPiece(piece);
    } catch (error) {
      if (signal.aborted || state.stop.signal.aborted) return;
      if (error === this.#storeFailure) return;
      if (error instanceof RaceLostError || stop.signal.aborted) this.#lost(runner);
      else if (!this.#hadNoTurn(state, error, startedAtMs)) this.#fetchFailed(state, number, error);
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

  /** Somebody else brought the piece: that says something of a parent that was late, unless we were in its queue all the time. */
  #lost({ state, meter, isLate: wasLate }: PeerRunner): void {
    const isQueued = meter.bytes === 0 && meter.elapsedMs < this.#init.latePolicy.originSilenceMs;
    if (!wasLate || isQueued) return;
    this.#init.standings.failed(state.parent.hostId, meter.bytes, meter.elapsedMs);
    if (++state.lates < MAX_LATE) return;
    this.#init.onPieceFailed(undefined, state.parent);
    this.parents.blame(state.parent.peerId, 'stalled');
  }

  /** The host did not come to this request, but sent other pieces meanwhile, to us or, as it says, to others: it is asked again. */
  #hadNoTurn(state: ParentState, error: unknown, startedAtMs: number): boolean {
    const { standings, clock, latePolicy } = this.#init;
    const isUnanswered = (error as { phase?: unknown }).phase === 'header';
    // What breaks off at once did not wait.
    if (!isUnanswered || clock() - startedAtMs < latePolicy.originSilenceMs) return false;
    const { hostId } = state.parent;
    if (Math.max(standings.fedAtMs(hostId), standings.servingAtMs(hostId)) <= startedAtMs) return false;
    return ++state.withoutTurn < MAX_WITHOUT_TURN;
  }

  #fetchFailed(state: ParentState, number: number, error: unknown): void {
    const { parent } = state;
    const offence = offenceOf(error);
    // A thread of our own died: the parent has the piece all the same.
    if ((error as { code?: unknown }).code === 'PIECE_RECEIVER_LOST' && this.#lostReceivers++ < MAX_LOST_RECEIVERS)
      return;
    if (state.isPresumed && (offence === undefined || offence === 'unreachable'))
      return this.parents.askAfterAll(state, number);
    this.#init.logger.warn(
      { parent: parent.hostId, taskId: this.#init.progress.stored.taskId, piece: number, err: error },
      'a piece could not be had from a parent',
    );
    this.#init.onPieceFailed(number, parent);
    this.#init.standings.failed(parent.hostId);
    this.#init.journal.failed(parent);
    if (offence !== undefined) {
      return this.parents.blame(parent.peerId, offence, number);
    }
    this.parents.choice.lacks(state, number);
    if (++state.refusals >= MAX_REFUSALS) this.parents.drop(state, 'it had no piece that it was asked for');
  }
}
