// Who owns what: the Task owns the callers, the states they see and the record in the store; a Download, made by it once the length is known,
// owns everything that moves bytes for it: what decides (Acquisition), what fetches (PeerFetcher, OriginFetcher), what is believed
// (Verification) and what mends (Repair).
import type { PeerRegistration } from '@d7y/peer-protocol';
import type { PieceRecord } from '@d7y/piece';
import { type ByteLimiter, linkedSignal } from '@d7y/service-kit';
import { Acquisition } from './acquisition.ts';
import type { Audience } from './audience.ts';
import type { EngineComponents, EngineOptions } from './engine-options.ts';
import { TaskAbandonedError, TaskDigestMismatchError } from './errors.ts';
import type { IntakeBoard } from './intake-board.ts';
import type { Journal } from './journal.ts';
import { LateHashes } from './late-hashes.ts';
import { OriginFetcher } from './origin-fetcher.ts';
import type { OriginTurns } from './origin-turns.ts';
import { pinOf } from './origin-pin.ts';
import type { ParentStandings } from './parent-standing.ts';
import { PeerFetcher } from './peer-fetcher.ts';
import type { OriginRequest } from './ports/origin.ts';
import { PrefixDigest } from './prefix-digest.ts';
import type { Progress } from './progress.ts';
import type { ProvenPieces } from './proven-pieces.ts';
import type { BufferSource } from './reader-buffers.ts';
import type { ReaderPositions } from './reader-positions.ts';
import { Repair } from './repair.ts';
import type { Reputation } from './reputation.ts';
import type { OpenedConversation } from './resolve-task.ts';
import { Verification } from './verification.ts';

/** What all downloads of a host share. */
export interface SharedKnowledge {
  readonly reputation: Reputation;
  readonly standings: ParentStandings;
  readonly proven: ProvenPieces;
  readonly buffers: BufferSource;
  readonly intake: IntakeBoard;
  readonly originTurns: OriginTurns;
}

export interface DownloadInit extends SharedKnowledge {
  readonly progress: Progress;
  readonly registration: PeerRegistration;
  readonly originRequest: OriginRequest;
  readonly mayAskOrigin: boolean;
  readonly isPrivate: boolean;
  /** A conversation that is under way already, to be gone on with. */
  readonly opened: OpenedConversation | undefined;
  readonly readers: ReaderPositions;
  readonly audience: Audience;
  readonly journal: Journal;
  readonly components: EngineComponents;
  readonly options: EngineOptions;
  /** Until disposed it goes on, also when the last caller leaves. */
  readonly keepGoing: () => Disposable;
  readonly signal: AbortSignal;
}

/** Everything that moves bytes for one task. */
export class Download {
  readonly acquisition: Acquisition;
  readonly #init: DownloadInit;
  readonly #fetcher: PeerFetcher;
  readonly #originFetcher: OriginFetcher;
  readonly #verification: Verification;

  constructor(init: DownloadInit) {
    this.#init = init;
    this.#verification = this.#createVerification();
    this.#originFetcher = this.#createOriginFetcher(
      { latePieces: () => this.#fetcher.latePieces(), cede: (number, holder) => this.#fetcher.cede(number, holder) },
      (piece) => this.acquisition.originPiece(piece),
    );
    this.acquisition = this.#createAcquisition();
    this.#fetcher = this.#createPeerFetcher();
    this.acquisition.use(this.#fetcher);
  }

  /**
   * Fetches until everything wanted is here and the digest of the whole, where it can be checked, has matched.
   * @throws {TaskDigestMismatchError} the origin itself has other bytes
   */
  async run(): Promise<void> {
    const { progress, signal, components } = this.#init;
    const { stored } = progress;
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const digest =
      stored.digest === undefined
        ? undefined
        : new PrefixDigest(progress, stored.digest, components.hasher, this.#init.buffers);
    const repair = this.#createRepair();
    using goingOn = new DisposableStack();
    try {
      for (;;) {
        const matching = digest?.match({ signal: either });
        // Its outcome is looked at once everything is here.
        matching?.catch(() => undefined);
        await this.acquisition.run();
        if (!progress.isWhole || matching === undefined) return;
        try {
          // Pieces may be lost meanwhile.
          while (!(await this.#isSettled(matching, either))) await this.acquisition.run();
          await this.#verification.conclude();
          repair.conclude();
          return;
        } catch (error) {
          if (!(error instanceof TaskDigestMismatchError)) throw error;
          // Readers that have been given wrong bytes are cut off, and come again: they must find the truth, and the liar known.
          goingOn.use(this.#init.keepGoing());
          // Nobody is to blame for what our own disk did.
          if ((await this.#discardDamaged()) > 0) continue;
          if ((await this.#verification.reckon()) > 0) continue;
          await repair.run(error);
        }
      }
    } finally {
      over.abort(new TaskAbandonedError(stored.taskId, 'the download is over'));
      await digest?.[Symbol.asyncDispose]();
    }
  }

  /** Waits for work on the whole. @returns false when some of what is wanted is not here any more @throws what the work throws */
  async #isSettled(work: Promise<void>, signal: AbortSignal): Promise<boolean> {
    const { progress } = this.#init;
    using over = linkedSignal(signal);
    const lost = (async (): Promise<false> => {
      while (progress.isSatisfied) await progress.changed.next({ signal: over.signal });
      return false;
    })();
    lost.catch(() => undefined); // nothing is lost once it is not waited for
    try {
      return await Promise.race([work.then(() => true), lost]);
    } finally {
      over.abort();
    }
  }

  /** @returns how many pieces were not on disk what they are on record */
  async #discardDamaged(): Promise<number> {
    const { progress, proven, components } = this.#init;
    const damaged: number[] = [];
    for (const number of [...progress.stored.finishedPieces]) {
      if (!(await proven.prove(progress.stored, number))) damaged.push(number);
    }
    if (damaged.length === 0) return 0;
    const { taskId } = progress.stored;
    components.logger.warn({ taskId, pieces: damaged }, 'pieces are damaged on disk; they are fetched again');
    progress.discard(damaged);
    return damaged.length;
  }

  /** Lets go of everything, once `signal` has aborted. Resolves when no late write of this download can come any more. */
  async settle(): Promise<void> {
    this.#fetcher.stop();
    await Promise.all([this.#fetcher.settled(), this.#originFetcher.settled()]);
  }

  #createVerification(): Verification {
    const { progress, reputation, audience, buffers, components, signal } = this.#init;
    const { link, host, hasher, events, logger } = components;
    return new Verification({
      ...{ progress, reputation, link, audience, logger, signal },
      lateHashes: new LateHashes(progress, hasher, buffers, { signal }),
      hostId: host.hostId,
      hostOf: (peerId) => this.#fetcher.parents.hostOf(peerId),
      onBlamed: (hostId, offence) => events.parentBlamed(hostId, offence),
      onSuspected: (peerId, number) => this.#fetcher.parents.blame(peerId, 'wrongBytes', number),
      onDiscarded: ({ number, parentId }) => {
        if (parentId !== undefined) this.acquisition.sayPieceWrong(number, parentId);
        this.acquisition.kick();
      },
    });
  }

  #createRepair(): Repair {
    const { progress, mayAskOrigin, components, signal } = this.#init;
    return new Repair({
      progress,
      verification: this.#verification,
      hostOf: (peerId) => this.#fetcher.parents.hostOf(peerId),
      dropParents: () => this.#fetcher.stop(),
      fetchFromOrigin: mayAskOrigin
        ? () => this.#createOriginFetcher(undefined, () => undefined).fetchMissing({ signal })
        : undefined,
      sayPieceWrong: (number, parentId) => this.acquisition.sayPieceWrong(number, parentId),
      logger: components.logger,
    });
  }

  #createAcquisition(): Acquisition {
    const { progress, registration, mayAskOrigin, isPrivate, opened, journal, components, options, signal } =
      this.#init;
    const { schedulers, seeds, parents, host, link, clock, logger } = components;
    return new Acquisition({
      ...{ progress, registration, schedulers, seeds, parents, link, journal, clock, logger, signal },
      ...{ isPrivate, mayAskOrigin, opened },
      originFetcher: this.#originFetcher,
      timeouts: options.timeouts,
      maxRounds: options.maxScheduleCount,
      isSeed: host.isSeed,
    });
  }

  #createPeerFetcher(): PeerFetcher {
    const { progress, reputation, standings, intake, readers, journal, registration, components, options, signal } =
      this.#init;
    const { originRequest, isPrivate } = this.#init;
    const { parents, host, limits, clock, random, tracer, logger, events } = components;
    const { handlers } = this.acquisition;
    return new PeerFetcher({
      ...{ progress, parents, reputation, standings, intake, journal, clock, random, tracer, logger, signal },
      verification: this.#verification,
      hostId: host.hostId,
      takesPublicOnly: originRequest.authorities !== undefined && !isPrivate,
      latePolicy: options.late,
      concurrency: registration.concurrentPieceCount,
      fallbackMs: options.fallbackMs,
      turnWaitMs: options.turnWaitMs,
      limitersFor: (number) => this.#limitersFor(number, limits?.download),
      urgent: () => readers.urgent(progress.layout),
      ...handlers,
      onPiece: (piece) => {
        events.pieceReceived('remotePeer', piece.length, piece.costMs);
        handlers.onPiece(piece);
        // It may have been asked for before somebody came who waits for it.
        if (piece.sha256 === undefined) this.#verification.catchUp();
      },
      onBlamed: (hostId, reason) => events.parentBlamed(hostId, reason),
    });
  }

  #createOriginFetcher(
    peers: Pick<PeerFetcher, 'latePieces' | 'cede'> | undefined,
    onPiece: (piece: PieceRecord) => void,
  ): OriginFetcher {
    const { progress, originRequest, readers, journal, components, options } = this.#init;
    const { origin, clock, events, limits } = components;
    return new OriginFetcher({
      ...{ origin, progress, clock },
      request: { ...originRequest, pinned: pinOf(progress.stored) },
      limitersFor: (number) => this.#limitersFor(number, limits?.origin, limits?.download),
      wantsSha256: (number) => this.#verification.isCheckable(number),
      late: () => peers?.latePieces() ?? [],
      takeOver: async (number, holder) => peers?.cede(number, holder) ?? progress.claim(number, holder),
      concurrency: options.originConcurrency,
      turns: this.#init.originTurns,
      pace: (waiting) => (readers.isAnyWaiting ? undefined : components.pace?.(progress.stored.taskId, waiting)),
      onPiece: (piece) => {
        events.pieceReceived('backToSource', piece.length, piece.costMs);
        journal.receivedFromOrigin(piece.length);
        this.#verification.fetched(piece);
        onPiece(piece);
      },
    });
  }

  /** What a chunk of the piece is drawn on; a prefetch yields to everything else. */
  #limitersFor(number: number, ...limiters: readonly (ByteLimiter | undefined)[]): ByteLimiter[] {
    const { progress, components } = this.#init;
    const prefetch = progress.isAwaited(number) ? undefined : components.limits?.prefetch;
    return [prefetch, ...limiters].filter((limiter) => limiter !== undefined);
  }
}
