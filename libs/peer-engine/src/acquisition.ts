import type { Announcement, Instruction, Parent, PeerRegistration } from '@d7y/peer-protocol';
import type { PieceRecord, ReadonlyPieceSet } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import { Conversation } from './conversation.ts';
import { TaskUnavailableError } from './errors.ts';
import { Inbox } from './inbox.ts';
import type { Journal } from './journal.ts';
import { type LateEvent, LateHelp } from './late-help.ts';
import type { OriginFetcher } from './origin-fetcher.ts';
import type { PeerFetcher } from './peer-fetcher.ts';
import { OriginStatusError } from './ports/origin.ts';
import type { Parents } from './ports/parents.ts';
import type { RememberedSeed, SchedulerConnection, Schedulers, SeedMemory } from './ports/schedulers.ts';
import type { SwarmLink } from './ports/swarm-link.ts';
import type { Progress } from './progress.ts';
import type { OpenedConversation } from './resolve-task.ts';
import { seedAsParent } from './seed-parent.ts';

/** How long an acquisition waits for others. All in ms. */
export interface AcquisitionTimeouts {
  /** For a scheduler's answer to a registration; our scheduler answers within its lease deadline (10 s). */
  readonly instructionMs: number;
  /** Without any new piece or announcement from the parents at hand. */
  readonly starvationMs: number;
  /** As before, when it is time to ask for leave to fetch from the origin: the pieces may come from there in the meantime. */
  readonly lateMs: number;
  /** Between such requests, after one was refused. */
  readonly leaseRetryMs: number;
  /** For a seed to begin, asked directly. */
  readonly seedMs: number;
  /** Between attempts to speak with a scheduler again after it was lost in the middle of a download; doubles while it refuses. */
  readonly reconnectMs: number;
}

/** How often claims on pieces are looked over, in ms. */
const AUDIT_MS = 5_000;
/** Of the time between attempts to speak with a scheduler that refuses. */
const MAX_DOUBLINGS = 4;
/** Seeds asked directly before the origin. */
const MAX_SEEDS = 2;

type Event =
  | { readonly kind: 'instruction'; readonly conversation: Conversation; readonly instruction: Instruction }
  | { readonly kind: 'conversationEnded'; readonly conversation: Conversation; readonly error: unknown }
  | { readonly kind: 'exhausted' | 'starved' | 'silent' | 'progress' | 'reconnect' }
  | LateEvent
  | { readonly kind: 'seedAnswered'; readonly seed: RememberedSeed; readonly error: unknown }
  | { readonly kind: 'storeFailed'; readonly error: unknown };

export interface AcquisitionInit {
  readonly progress: Progress;
  readonly registration: PeerRegistration;
  readonly schedulers: Schedulers;
  readonly seeds: SeedMemory;
  readonly parents: Parents;
  readonly originFetcher: OriginFetcher;
  /** Where leave to fetch late pieces from the origin is asked; undefined when there is nobody to ask. */
  readonly link: Pick<SwarmLink, 'requestLease'> | undefined;
  /** Takes down what is decided. */
  readonly journal: Journal;
  readonly timeouts: AcquisitionTimeouts;
  /** Requests for parents per conversation; stock schedulers bear five. */
  readonly maxRounds: number;
  readonly clock: () => number;
  readonly isSeed: boolean;
  /** The content may be had only with credentials: seeds cannot help, and no peer without them may fetch. */
  readonly isPrivate: boolean;
  readonly mayAskOrigin: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** A conversation that is under way already. */
  readonly opened?: OpenedConversation | undefined;
}

/**
 * Gets what is missing of a task, whoever has to be asked: the scheduler says from whom; without one the remembered
 * seeds are asked, then the origin. One loop over one queue of events owns all decisions.
 */
export class Acquisition {
  readonly #init: AcquisitionInit;
  #fetcher: PeerFetcher | undefined;
  readonly #inbox = new Inbox<Event>();
  readonly #lateHelp: LateHelp;
  #conversation: Conversation | undefined;
  readonly #triedSchedulers = new Set<string>();
  readonly #triedSeeds = new Set<string>();
  /** When the parents at hand were last found to give nothing, and others were asked for. */
  #starvedAtMs = -Infinity;
  #seedPending = false;
  #originFailure: unknown;
  #originGranted = false;
  #hasBegun = false;
  /** A scheduler was there and of no use: this download does without. */
  #hasGivenUp = false;
  #timer: NodeJS.Timeout | undefined;
  #reconnectTimer: NodeJS.Timeout | undefined;
  /** Conversations in a row that ended without an instruction. */
  #refusals = 0;

  constructor(init: AcquisitionInit) {
    this.#init = init;
    this.#lateHelp = new LateHelp({
      ...init,
      taskId: init.registration.taskId,
      peers: () => this.#peers,
      isWaiting: () => this.#seedPending || this.#conversation?.isWaiting === true,
      origin: () => {
        if (this.#originGranted) return 'granted';
        return init.mayAskOrigin && this.#originFailure === undefined ? 'onLease' : 'closed';
      },
      startOrigin: () => this.#startOrigin(),
      askOthers: () => this.#moveOn('pieces are late', { isLate: true }),
      push: (event) => this.#inbox.push(event),
    });
  }

  /** The fetcher reports through `handlers`; it is given once, before `run`. */
  use(fetcher: PeerFetcher): void {
    this.#fetcher = fetcher;
  }

  readonly handlers = {
    hotPieces: (): ReadonlyPieceSet | undefined => this.#conversation?.hotPieces,
    onPiece: (piece: PieceRecord): void => {
      this.#conversation?.pieceFinished(piece);
      this.#inbox.push({ kind: 'progress' });
    },
    onPieceFailed: (pieceNumber: number | undefined, parent: Parent): void => {
      this.#conversation?.pieceFailed(pieceNumber, parent.peerId);
    },
    onExhausted: (): void => this.#inbox.push({ kind: 'exhausted' }),
    onLate: (): void => this.#lateHelp.notice(),
    onStoreFailure: (error: unknown): void => this.#inbox.push({ kind: 'storeFailed', error }),
  };

  /** A piece came from the origin. */
  originPiece(piece: PieceRecord): void {
    this.handlers.onPiece(piece);
    this.#peers.pump();
  }

  /** More is wanted, or pieces were discarded: look again. */
  kick(): void {
    this.#inbox.push({ kind: 'progress' });
    if (this.#originGranted) this.#startOrigin();
    this.#peers.pump();
  }

  /**
   * Resolves when everything wanted is here; the scheduler has not been told yet. To be called again when pieces were discarded.
   * @throws when neither peers nor the origin can give it
   */
  async run(): Promise<void> {
    const { progress, signal, registration } = this.#init;
    const abort = () => this.#inbox.push({ kind: 'progress' });
    signal.addEventListener('abort', abort, { once: true });
    const audits = setInterval(() => this.#audit(), AUDIT_MS).unref();
    try {
      if (this.#hasBegun) this.#inbox.push({ kind: 'exhausted' });
      else this.#begin();
      this.#hasBegun = true;
      while (!progress.isSatisfied) {
        signal.throwIfAborted();
        const event = await this.#inbox.take();
        signal.throwIfAborted();
        this.#handle(event);
        // Whatever an event did not lead to: silence must not last.
        this.#watch();
      }
    } catch (error) {
      void this.sayFailed(error);
      throw error;
    } finally {
      clearInterval(audits);
      clearTimeout(this.#timer);
      clearTimeout(this.#reconnectTimer);
      signal.removeEventListener('abort', abort);
      this.#init.logger.debug({ taskId: registration.taskId, received: progress.received }, 'acquisition ended');
    }
  }

  /** No scheduler knows of this download, and it was not for the scheduler's silence or nonsense. */
  get isUnheardOf(): boolean {
    return this.#conversation === undefined && !this.#hasGivenUp;
  }

  /** Somebody has us fetch this, and so does not know that we are at it: tells the scheduler at once, where it has not heard. */
  meetScheduler(): void {
    if (this.isUnheardOf) this.#inbox.push({ kind: 'reconnect' });
  }

  /** Tells the scheduler that all went well. Call once, after the digest has matched. */
  async sayFinished(): Promise<void> {
    const conversation = this.#conversation;
    this.#conversation = undefined;
    await conversation?.finish();
  }

  /** Tells the scheduler that nothing will come of it, so that it does not wait; says it once, and nothing after `sayFinished`. */
  async sayFailed(error: unknown): Promise<void> {
    const conversation = this.#conversation;
    this.#conversation = undefined;
    await conversation?.fail(error);
  }

  /** Reports pieces whose bytes proved wrong later. */
  sayPieceWrong(pieceNumber: number, parentId: string): void {
    this.#conversation?.pieceFailed(pieceNumber, parentId);
  }

  get #peers(): PeerFetcher {
    if (this.#fetcher === undefined) throw new Error('an acquisition runs only after use()');
    return this.#fetcher;
  }

  #begin(): void {
    const { opened } = this.#init;
    if (opened !== undefined) {
      this.#converse(opened.scheduler, opened.announcement, { isResumed: false });
      if (this.#conversation !== undefined && opened.instruction !== undefined) {
        this.#instructed(this.#conversation, opened.instruction);
      }
      return;
    }
    if (this.#openNextConversation()) return;
    this.#reconnectLater();
    this.#withoutScheduler();
  }

  #handle(event: Event): void {
    switch (event.kind) {
      case 'instruction':
        if (event.conversation === this.#conversation) this.#instructed(event.conversation, event.instruction);
        return;
      case 'conversationEnded':
        if (event.conversation !== this.#conversation) return;
        this.#init.logger.info(
          { scheduler: event.conversation.address, taskId: this.#init.registration.taskId, err: event.error },
          'the scheduler is gone; the download goes on without it',
        );
        this.#conversation = undefined;
        if (event.conversation.isWaiting) this.#refusals++;
        if (event.conversation.isWaiting || !this.#isGettingSomething()) this.#moveOn('the scheduler is gone');
        this.#reconnectLater();
        return;
      case 'reconnect':
        this.#reconnect();
        return;
      case 'exhausted':
        if (!this.#isGettingSomething()) this.#moveOn('no parent is left');
        return;
      case 'late':
        this.#lateHelp.ask();
        return;
      case 'leaseAnswered':
        this.#lateHelp.answered(event.lease);
        return;
      case 'starved':
        this.#init.logger.info({ taskId: this.#init.registration.taskId }, 'parents have given nothing for a while');
        // A scheduler of ours may know of nobody better: those at hand get their time again, as many times as it may be asked.
        if (this.#lateHelp.isGuided) this.#starvedAtMs = this.#init.clock();
        this.#moveOn('parents have given nothing for a while', { haveStarved: true });
        return;
      case 'silent':
        this.#init.logger.warn(
          { scheduler: this.#conversation?.address, taskId: this.#init.registration.taskId },
          'the scheduler does not answer',
        );
        this.#conversation?.abort();
        this.#conversation = undefined;
        this.#hasGivenUp = true;
        if (!this.#isGettingSomething()) this.#moveOn('the scheduler does not answer');
        return;
      case 'seedAnswered':
        this.#seedPending = false;
        if (event.error === undefined) this.#peers.parents.add([seedAsParent(event.seed)]);
        if (!this.#isGettingSomething()) this.#moveOn('the seed cannot help');
        return;
      case 'originEnded':
        if (event.error !== undefined) this.#originFailed(event.error);
        else if (this.#originGranted && this.#init.progress.missing().size > 0) this.#startOrigin();
        else if (!this.#isGettingSomething()) this.#moveOn('pieces that peers were fetching are missing');
        return;
      case 'storeFailed':
        throw event.error;
      case 'progress':
        this.#watch();
        return;
      default:
        event satisfies never;
    }
  }

  #instructed(conversation: Conversation, instruction: Instruction): void {
    conversation.answered();
    this.#refusals = 0;
    const { journal } = this.#init;
    switch (instruction.kind) {
      case 'parents':
        journal.note(`scheduler ${conversation.address} offers ${instruction.parents.length} parents`);
        conversation.downloadFromParents();
        this.#peers.parents.add(instruction.parents);
        this.#peers.pump();
        break;
      case 'backToSource':
        journal.note(
          `scheduler ${conversation.address} sends us to the origin: ${instruction.reason ?? 'no reason given'}`,
        );
        if (!this.#init.mayAskOrigin) {
          this.#moveOn('the scheduler sends us to the origin, which the caller forbids');
          return;
        }
        conversation.downloadFromOrigin(instruction.reason ?? '');
        // Taken up again it goes on with what it has: a seed that the scheduler does not know yet may be fetching the very same bytes.
        if (!conversation.isResumed || !this.#isGettingSomething()) this.#goToOrigin(conversation.address);
        break;
      case 'empty':
      case 'metadataOnly':
        // The scheduler is wrong about the length, or answers what was not asked: do without it.
        conversation.abort();
        this.#conversation = undefined;
        this.#hasGivenUp = true;
        this.#moveOn('the scheduler takes the task for another one');
        return;
      default:
        instruction satisfies never;
    }
    this.#watch();
  }

  /** Parents, origin or a seed are at it: there is something to wait for. */
  #isGettingSomething(): boolean {
    return (
      this.#init.originFetcher.isRunning ||
      this.#seedPending ||
      this.#conversation?.isWaiting === true ||
      this.#peers.isLive
    );
  }

  /** What is at hand does not suffice: ask the scheduler for others, then the next scheduler, seeds, the origin. */
  #moveOn(reason: string, { haveStarved = false, isLate = false } = {}): void {
    if (this.#init.progress.isSatisfied) return;
    this.#init.journal.note(reason);
    const conversation = this.#conversation;
    if (conversation?.mayAsk) {
      conversation.askForOthers(this.#peers.parents.offered, reason);
      this.#watch();
      return;
    }
    if (conversation?.isWaiting) return;
    if (conversation === undefined && this.#openNextConversation()) return;
    this.#withoutScheduler({ haveStarved, isLate });
  }

  #withoutScheduler({ haveStarved = false, isLate = false } = {}): void {
    if (!this.#init.isSeed && !this.#init.isPrivate && this.#askSeed()) return;
    if (this.#init.mayAskOrigin && this.#originFailure === undefined) {
      // Parents that bring the rest go on with it.
      if (isLate && this.#peers.isLive) this.#lateHelp.fetch(undefined);
      else this.#startOrigin();
      return;
    }
    if (!haveStarved && this.#isGettingSomething()) return this.#watch();
    throw this.#originFailure instanceof OriginStatusError
      ? this.#originFailure
      : new TaskUnavailableError(
          this.#init.registration.taskId,
          this.#init.mayAskOrigin
            ? 'no peer has it, and the origin failed'
            : 'no peer has it, and the origin may not be asked',
          { cause: this.#originFailure },
        );
  }

  #openNextConversation(): boolean {
    const scheduler = this.#init.schedulers
      .candidates(this.#init.registration.taskId)
      .find(({ address }) => !this.#triedSchedulers.has(address));
    if (scheduler === undefined) return false;
    this.#register(scheduler, this.#init.registration, { isResumed: false });
    return true;
  }

  /** A scheduler that came back knows nothing of this download, and would have others ask the origin for what is here. */
  #reconnect(): void {
    if (this.#conversation !== undefined) return;
    const [scheduler] = this.#init.schedulers.candidates(this.#init.registration.taskId);
    if (scheduler === undefined) return this.#reconnectLater();
    const needBackToSource = this.#init.registration.needBackToSource || this.#init.originFetcher.isRunning;
    const heldPieces = this.#init.progress.stored.finishedPieces;
    this.#register(scheduler, { ...this.#init.registration, needBackToSource, heldPieces }, { isResumed: true });
  }

  #reconnectLater(): void {
    clearTimeout(this.#reconnectTimer);
    const waitMs = this.#init.timeouts.reconnectMs * 2 ** Math.min(this.#refusals, MAX_DOUBLINGS);
    this.#reconnectTimer = setTimeout(() => this.#inbox.push({ kind: 'reconnect' }), waitMs * (0.5 + Math.random()));
    this.#reconnectTimer.unref();
  }

  #register(scheduler: SchedulerConnection, registration: PeerRegistration, options: { isResumed: boolean }): void {
    // Not the task's own signal: a peer that gives up still has a last word to say.
    const { signal } = new AbortController();
    this.#converse(scheduler, scheduler.announcePeer(registration, { signal }), options);
  }

  #converse(scheduler: SchedulerConnection, announcement: Announcement, { isResumed }: { isResumed: boolean }): void {
    this.#triedSchedulers.add(scheduler.address);
    this.#init.journal.note(`scheduler ${scheduler.address} is asked for parents`);
    this.#conversation = new Conversation({
      ...{ scheduler, announcement, isResumed },
      progress: this.#init.progress,
      maxRounds: this.#init.maxRounds,
      onInstruction: (conversation, instruction) =>
        this.#inbox.push({ kind: 'instruction', conversation, instruction }),
      onEnded: (conversation, error) => this.#inbox.push({ kind: 'conversationEnded', conversation, error }),
    });
    this.#watch();
  }

  #askSeed(): boolean {
    const { seeds, registration, parents, timeouts, signal } = this.#init;
    if (this.#triedSeeds.size >= MAX_SEEDS) return false;
    const seed = seeds.ordered(registration.taskId).find(({ hostId }) => !this.#triedSeeds.has(hostId));
    if (seed === undefined) return false;
    this.#triedSeeds.add(seed.hostId);
    this.#init.journal.note(`seed ${seed.hostId} is asked directly`);
    this.#seedPending = true;
    const either = AbortSignal.any([signal, AbortSignal.timeout(timeouts.seedMs)]);
    parents.triggerSeed(seed, { ...registration, needBackToSource: true }, { signal: either }).then(
      () => this.#inbox.push({ kind: 'seedAnswered', seed, error: undefined }),
      (error: unknown) =>
        this.#inbox.push({ kind: 'seedAnswered', seed, error: error ?? new Error('the seed failed') }),
    );
    return true;
  }

  /**
   * On the word of a scheduler. Daemons that were without one meanwhile have asked a seed, and all the same one: who is sent to the origin by a
   * scheduler that does not know of it yet asks there first, or the same bytes would leave the origin twice.
   */
  #goToOrigin(scheduler: string): void {
    const { schedulers, isSeed, isPrivate } = this.#init;
    if (schedulers.isBack?.(scheduler) === true && !isSeed && !isPrivate && this.#askSeed()) return;
    this.#startOrigin();
  }

  #startOrigin(): void {
    this.#originGranted = true;
    const { originFetcher, signal, progress } = this.#init;
    if (originFetcher.isRunning || (progress.missing().size === 0 && this.#peers.latePieces().length === 0)) return;
    this.#init.journal.note('the origin is asked for what is missing');
    originFetcher.fetchMissing({ signal }).then(
      () => this.#inbox.push({ kind: 'originEnded', error: undefined }),
      (error: unknown) => this.#inbox.push({ kind: 'originEnded', error: error ?? new Error('the origin failed') }),
    );
  }

  #originFailed(error: unknown): void {
    // No parent helps against either: our disk is full, or what parents have is of another version.
    const { code } = error as { code?: unknown };
    if (code === 'NO_SPACE' || code === 'ORIGIN_CHANGED') throw error;
    this.#originFailure = error;
    this.#originGranted = false;
    const conversation = this.#conversation;
    if (conversation?.isBackToSource) {
      this.#conversation = undefined;
      void conversation.fail(error);
    }
    if (!this.#isGettingSomething()) this.#moveOn('the origin failed');
  }

  /** How long the parents at hand have given nothing since they were last found wanting, in ms. */
  get #starvingMs(): number {
    return Math.min(this.#peers.idleMs(), this.#init.clock() - this.#starvedAtMs);
  }

  /** The last line of defence: whatever went wrong, no piece may be kept by nobody. */
  #audit(): void {
    const { progress, logger, journal, registration } = this.#init;
    const pieces = progress.reclaim();
    if (pieces.length === 0) return;
    logger.error(
      { taskId: registration.taskId, pieces },
      'pieces were held by nobody who fetches them: a fault of this program; they are asked for again',
    );
    journal.note(`pieces ${pieces.join(', ')} were held by nobody, and are asked for again`);
    this.kick();
  }

  /** Sets the one timer that guards against silence: of the scheduler while its answer is due, else of the parents. */
  #watch(): void {
    clearTimeout(this.#timer);
    const { timeouts, originFetcher } = this.#init;
    if (this.#conversation?.isWaiting) {
      this.#timer = setTimeout(() => this.#inbox.push({ kind: 'silent' }), timeouts.instructionMs);
    } else if (!originFetcher.isRunning && !this.#seedPending) {
      const lateInMs = timeouts.lateMs - this.#peers.idleMs();
      const nextMs = Math.min(
        lateInMs > 0 ? lateInMs : timeouts.leaseRetryMs,
        timeouts.starvationMs - this.#starvingMs,
      );
      this.#timer = setTimeout(
        () => {
          if (this.#starvingMs >= timeouts.starvationMs) return this.#inbox.push({ kind: 'starved' });
          if (this.#peers.idleMs() >= timeouts.lateMs) this.#lateHelp.notice();
          this.#watch();
        },
        Math.max(nextMs, 1),
      );
    }
    this.#timer?.unref();
  }
}
