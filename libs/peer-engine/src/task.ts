import { hashedUrl, peerIdOf } from '@d7y/piece';
import type { ByteRange, PieceRecord, TaskLayout } from '@d7y/piece';
import type { PeerRegistration } from '@d7y/peer-protocol';
import { withSpan } from '@d7y/service-kit';
import type { ByteLimiter } from '@d7y/service-kit';
import type { Span } from '@opentelemetry/api';
import { Acquisition } from './acquisition.ts';
import { announceComplete } from './announce-complete.ts';
import type { EngineComponents, EngineOptions } from './engine-options.ts';
import { TaskAbandonedError, TaskDigestMismatchError } from './errors.ts';
import { OriginFetcher } from './origin-fetcher.ts';
import { PeerFetcher } from './peer-fetcher.ts';
import { pinOf } from './origin-pin.ts';
import type { ParentStandings } from './parent-standing.ts';
import { Journal } from './journal.ts';
import type { OriginProbe, OriginRequest } from './ports/origin.ts';
import { OriginChangedError } from './ports/origin.ts';
import type { StoredTask } from './ports/task-store.ts';
import { isCheckable, PrefixDigest } from './prefix-digest.ts';
import { Progress } from './progress.ts';
import { ReaderPositions } from './reader-positions.ts';
import type { Reputation } from './reputation.ts';
import type { Resolution } from './resolve-task.ts';
import { resolveTask } from './resolve-task.ts';
import type { TaskRequest } from './task-request.ts';
import { digestOfRequest, pieceLengthOfRequest, taskIdOfRequest } from './task-request.ts';

/** What callers join: pieces being fetched into the store, or a length that nobody knows. */
export type Resolved =
  | { readonly kind: 'stored'; readonly progress: Progress }
  | { readonly kind: 'unknownLength'; readonly probe: OriginProbe };

/** Times that content from peers is fetched anew because its digest did not match. */
const MAX_REPAIRS = 2;
/** A request with this priority tells everybody that its peer goes to the origin itself (Priority.LEVEL3). */
const PRIORITY_SELF = 3;

/**
 * One download of one task on this host, shared by all callers that want it meanwhile. Starts with the first caller and
 * ends when all they want is here, when it fails, or when nobody is left who wants it.
 */
export class Task {
  readonly taskId: string;
  /** Settles when the length is known, or cannot be found out. */
  readonly resolved: Promise<Resolved>;
  /** Settles, never rejects, when the download is over. */
  readonly ended: Promise<void>;
  readonly isPrivate: boolean;
  readonly startedAtMs: number;
  /** What this download did, and is doing. */
  readonly journal: Journal;
  /** Where its readers wait. */
  readonly readers = new ReaderPositions();
  readonly #components: EngineComponents;
  readonly #options: EngineOptions;
  readonly #reputation: Reputation;
  readonly #standings: ParentStandings;
  readonly #request: TaskRequest;
  readonly #digest: string | undefined;
  readonly #peerId: string;
  readonly #abort = new AbortController();
  /** Aborts for the readers when no more bytes will come. */
  readonly #failed = new AbortController();
  #progress: Progress | undefined;
  #acquisition: Acquisition | undefined;
  #callers = 0;
  #watchers = 0;
  #isOver = false;
  #isTriggered: boolean;
  #isPrefetching = false;

  constructor(
    request: TaskRequest,
    components: EngineComponents,
    options: EngineOptions,
    { reputation, standings }: { readonly reputation: Reputation; readonly standings: ParentStandings },
  ) {
    this.#request = request;
    this.#components = components;
    this.#options = options;
    this.#reputation = reputation;
    this.#standings = standings;
    this.taskId = taskIdOfRequest(request);
    this.#digest = digestOfRequest(request);
    this.#peerId = peerIdOf(components.host, components.uuid());
    this.isPrivate = Object.keys(request.credentials).length > 0 || request.priority === PRIORITY_SELF;
    this.#isTriggered = request.needBackToSource;
    this.startedAtMs = components.clock();
    this.journal = new Journal(components.clock);
    const { promise, resolve, reject } = Promise.withResolvers<Resolved>();
    this.resolved = promise;
    promise.catch(() => undefined);
    this.ended = this.#run(resolve, reject);
  }

  /** Nobody can join any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** It is being stopped: whoever wants the content starts anew once it has `ended`. */
  get isStopping(): boolean {
    return this.#abort.signal.aborted && !this.#isOver;
  }

  get stored(): StoredTask | undefined {
    return this.#progress?.stored;
  }

  /** Resolves when a piece arrived, was discarded, or the task is over. */
  async nextChange(signal: AbortSignal): Promise<void> {
    await this.#progress?.changed
      .next({ signal: AbortSignal.any([signal, this.#failed.signal]) })
      .catch((error: unknown) => {
        // The failure itself shows when the watcher looks at the task.
        if (!this.#failed.signal.aborted) throw error;
      });
  }

  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** A caller came; each must `leave` once. */
  enter(): void {
    this.#callers++;
  }

  leave(): void {
    this.#callers--;
    this.#abandonWhenUnwanted();
  }

  /** Somebody who looks for this content has this host fetch it, and waits to hear of it from the scheduler. */
  trigger(): void {
    this.#isTriggered = true;
    this.#acquisition?.meetScheduler();
  }

  /** Another daemon listens to what arrives; each must `unwatch` once. */
  watch(): void {
    this.#watchers++;
  }

  unwatch(): void {
    this.#watchers--;
    this.#abandonWhenUnwanted();
  }

  /** A caller wants these bytes. @returns false when the task is over without having them all */
  want(range: ByteRange): boolean {
    const progress = this.#progress;
    if (progress === undefined || this.#failed.signal.aborted) return false;
    if (this.#isOver) return progress.stored.isComplete;
    // A digest can be matched on the whole content only.
    progress.want(isCheckable(this.#digest) ? { start: 0, length: progress.layout.contentLength } : range);
    this.#acquisition?.kick();
    return true;
  }

  /** Fetches the rest as well, behind what callers wait for, and goes on with it when they have left. */
  prefetch(): void {
    const progress = this.#progress;
    if (progress === undefined || this.#isPrefetching || this.#isOver || this.#abort.signal.aborted) return;
    this.#isPrefetching = true;
    this.enter();
    void this.ended.then(() => this.leave());
    progress.want({ start: 0, length: progress.layout.contentLength }, { isPrefetch: true });
    this.#acquisition?.kick();
  }

  stop(reason: string): void {
    this.#abort.abort(new TaskAbandonedError(this.taskId, reason));
  }

  /** A seed was told to fetch, and other daemons may live from what we fetch: both go on without a caller. */
  #abandonWhenUnwanted(): void {
    if (this.#callers > 0 || this.#watchers > 0 || this.#components.host.isSeed || this.#isOver) return;
    this.stop('nobody wants it any more');
  }

  async #run(resolve: (resolved: Resolved) => void, reject: (error: unknown) => void): Promise<void> {
    const { tracer, events, logger, clock, host } = this.#components;
    const attributes = { host_id: host.hostId, task_id: this.taskId, peer_id: this.#peerId };
    let outcome: 'succeeded' | 'failed' | 'abandoned' = 'succeeded';
    events.taskStarted(this.taskId);
    try {
      await withSpan(tracer, 'download_task', { attributes }, (span) => this.#download(resolve, span));
    } catch (error) {
      outcome = error instanceof TaskAbandonedError ? 'abandoned' : 'failed';
      if (error instanceof TaskDigestMismatchError || error instanceof OriginChangedError) await this.#forget();
      this.journal.note(error instanceof Error ? error.message : String(error));
      logger[outcome === 'failed' ? 'warn' : 'debug']({ taskId: this.taskId, err: error }, `the task ${outcome}`);
      this.#failed.abort(error);
      reject(error);
    } finally {
      this.#isOver = true;
      this.#progress?.changed.beat();
      this.journal.end(outcome);
      events.taskEnded(this.taskId, outcome, clock() - this.startedAtMs, this.#progress?.layout.contentLength ?? 0);
    }
  }

  /** The origin's own bytes refute what is on record: the next caller must not find it, who may know better. */
  async #forget(): Promise<void> {
    const { store, logger } = this.#components;
    await store.delete(this.taskId).catch((error: unknown) => {
      logger.warn({ taskId: this.taskId, err: error }, 'a task that the origin refutes could not be removed');
    });
  }

  async #download(resolve: (resolved: Resolved) => void, span: Span): Promise<void> {
    const { store } = this.#components;
    const held = store.get(this.taskId);
    const resolution: Resolution =
      held === undefined
        ? await resolveTask(
            this.#request,
            this.#originRequest(),
            (layout) => this.#registration(layout),
            this.#components,
            this.#options,
            this.#abort,
          )
        : { kind: 'known', layout: held.layout, responseHeaders: held.responseHeaders, opened: undefined };
    if (resolution.kind === 'unknownLength') {
      resolve(resolution);
      return;
    }
    span.setAttribute('content_length', resolution.layout.contentLength);
    const stored = await store.create(
      held ?? {
        taskId: this.taskId,
        url: this.#publicUrl(),
        layout: resolution.layout,
        digest: isCheckable(this.#digest) ? this.#digest : undefined,
        responseHeaders: resolution.responseHeaders,
        isPrivate: this.isPrivate,
      },
    );
    using _retained = stored.retain();
    const progress = new Progress(stored);
    this.#progress = progress;
    if (progress.layout.pieceCount === 0) {
      await this.#complete(progress);
      resolve({ kind: 'stored', progress });
      return;
    }
    const { acquisition, fetcher, originFetcher } = this.#assemble(progress, resolution);
    this.#acquisition = acquisition;
    try {
      resolve({ kind: 'stored', progress });
      // Callers say what they want as soon as they hear that the task is resolved.
      await new Promise(setImmediate);
      await this.#acquire(progress, acquisition, fetcher);
    } catch (error) {
      // What proves wrong after all of it has arrived, too: a lease that nobody gives back makes everybody wait.
      void acquisition.sayFailed(error);
      throw error;
    } finally {
      // The next download of this task must not meet a late write of this one.
      this.stop('the task is over');
      fetcher.stop();
      await Promise.all([fetcher.settled(), originFetcher.settled()]);
    }
  }

  /** Fetches until everything wanted is here and the digest, where it can be checked, has matched. */
  async #acquire(progress: Progress, acquisition: Acquisition, fetcher: PeerFetcher): Promise<void> {
    const { signal } = this.#abort;
    const stopDigest = new AbortController();
    const digest =
      progress.stored.digest === undefined
        ? undefined
        : new PrefixDigest(progress, progress.stored.digest, this.#components.readBuffers);
    const either = AbortSignal.any([signal, stopDigest.signal]);
    try {
      for (let repairs = 0; ; repairs++) {
        const matching = digest?.match({ signal: either });
        // Its outcome is looked at once everything is here.
        matching?.catch(() => undefined);
        await acquisition.run();
        if (!progress.isWhole) {
          this.#isOver = true;
          return await acquisition.sayFinished();
        }
        try {
          await matching;
          break;
        } catch (error) {
          if (!(error instanceof TaskDigestMismatchError)) throw error;
          await this.#repair(progress, acquisition, fetcher, error, repairs);
        }
      }
    } finally {
      stopDigest.abort(new TaskAbandonedError(this.taskId, 'the task is over'));
    }
    const { isUnheardOf } = acquisition;
    // Whoever had us fetch it must hear that we have it before it hears that we are done.
    if (isUnheardOf && this.#isTriggered) await this.#announceComplete(progress);
    await this.#complete(progress);
    // From here on nobody joins; the last words to the scheduler are not worth a caller's wait.
    this.#isOver = true;
    if (isUnheardOf && !this.#isTriggered) await this.#announceComplete(progress);
    else await acquisition.sayFinished();
  }

  /** For a download of which no scheduler has heard, because none was there or the one that was has been lost. */
  async #announceComplete({ stored }: Progress): Promise<void> {
    const priority = this.isPrivate ? PRIORITY_SELF : this.#request.priority;
    await announceComplete(stored, { ...this.#request, priority }, this.#components, this.#abort.signal);
  }

  async #complete(progress: Progress): Promise<void> {
    await progress.stored.markComplete();
    progress.changed.beat();
  }

  /**
   * The whole does not match its digest although each piece matched what its parent claimed: the origin's own bytes tell
   * who lied. Without the origin all parents of the pieces at hand are suspects.
   * @throws {TaskDigestMismatchError} nobody but the origin is left to blame
   */
  async #repair(
    progress: Progress,
    acquisition: Acquisition,
    fetcher: PeerFetcher,
    mismatch: TaskDigestMismatchError,
    repairs: number,
  ): Promise<void> {
    const { logger, events } = this.#components;
    const suspects = new Map<number, PieceRecord>();
    for (const number of progress.stored.finishedPieces) {
      const piece = progress.stored.piece(number);
      if (piece !== undefined && piece.trafficType !== 'backToSource') suspects.set(number, piece);
    }
    logger.warn({ taskId: this.taskId, suspects: suspects.size, err: mismatch }, 'the whole does not match its digest');
    if (suspects.size === 0 || repairs >= MAX_REPAIRS) {
      progress.discard([...progress.stored.finishedPieces]);
      throw mismatch;
    }
    progress.discard(suspects.keys());
    fetcher.stop();
    const blamedHosts = new Set<string>();
    const blame = (number: number, parentId: string): void => {
      logger.warn({ taskId: this.taskId, piece: number, parent: parentId }, 'a parent sent wrong bytes');
      acquisition.sayPieceWrong(number, parentId);
      const hostId = fetcher.hostOf(parentId);
      // However many of its pieces were wrong: it is one offence.
      if (hostId === undefined || blamedHosts.has(hostId)) return;
      blamedHosts.add(hostId);
      this.#reputation.blame(hostId, 'wrongBytes');
      events.parentBlamed(hostId, 'wrongBytes');
    };
    if (this.#request.disableBackToSource) {
      for (const [number, { parentId }] of suspects) if (parentId !== undefined) blame(number, parentId);
      return;
    }
    await this.#originFetcher(progress, undefined, () => undefined).fetchMissing(this.#abort);
    for (const [number, before] of suspects) {
      const parentId = before.parentId;
      if (parentId !== undefined && progress.stored.piece(number)?.digest !== before.digest) blame(number, parentId);
    }
  }

  #assemble(
    progress: Progress,
    resolution: Extract<Resolution, { kind: 'known' }>,
  ): { acquisition: Acquisition; fetcher: PeerFetcher; originFetcher: OriginFetcher } {
    const { schedulers, seeds, parents, host, clock, random, tracer, logger, events } = this.#components;
    const { signal } = this.#abort;
    const originFetcher = this.#originFetcher(
      progress,
      { latePieces: () => fetcher.latePieces(), cede: (number) => fetcher.cede(number) },
      (piece) => acquisition.originPiece(piece),
    );
    const acquisition = new Acquisition({
      progress,
      registration: this.#registration(progress.layout),
      schedulers,
      seeds,
      parents,
      originFetcher,
      link: this.#components.link,
      journal: this.journal,
      timeouts: this.#options.timeouts,
      maxRounds: this.#options.maxScheduleCount,
      clock,
      isSeed: host.isSeed,
      isPrivate: this.isPrivate,
      mayAskOrigin: !this.#request.disableBackToSource,
      logger,
      signal,
      opened: resolution.opened,
    });
    const fetcher = new PeerFetcher({
      progress,
      parents,
      reputation: this.#reputation,
      hostId: host.hostId,
      standings: this.#standings,
      journal: this.journal,
      latePolicy: this.#options.late,
      concurrency: this.#concurrentPieceCount,
      limitersFor: (number) => this.#limitersFor(progress, number, this.#components.limits?.download),
      urgent: () => this.readers.urgent(progress.layout),
      clock,
      random,
      tracer,
      logger,
      signal,
      ...acquisition.handlers,
      onPiece: (piece) => {
        events.pieceReceived('remotePeer', piece.length, piece.costMs);
        acquisition.handlers.onPiece(piece);
      },
      onBlamed: (hostId, reason) => events.parentBlamed(hostId, reason),
    });
    acquisition.use(fetcher);
    return { acquisition, fetcher, originFetcher };
  }

  #originFetcher(
    progress: Progress,
    peers: Pick<PeerFetcher, 'latePieces' | 'cede'> | undefined,
    onPiece: (piece: PieceRecord) => void,
  ): OriginFetcher {
    const { origin, clock, events, limits } = this.#components;
    return new OriginFetcher({
      origin,
      request: { ...this.#originRequest(), pinned: pinOf(progress.stored) },
      progress,
      limitersFor: (number) => this.#limitersFor(progress, number, limits?.origin, limits?.download),
      late: () => peers?.latePieces() ?? [],
      takeOver: async (number) => peers?.cede(number) ?? progress.claim(number),
      concurrency: this.#options.originConcurrency,
      clock,
      onPiece: (piece) => {
        events.pieceReceived('backToSource', piece.length, piece.costMs);
        this.journal.receivedFromOrigin(piece.length);
        onPiece(piece);
      },
    });
  }

  get #concurrentPieceCount(): number {
    const { concurrentPieceCount } = this.#options;
    return Math.max(Math.min(this.#request.concurrentPieceCount ?? concurrentPieceCount, concurrentPieceCount), 1);
  }

  /** What a chunk of the piece is drawn on; a prefetch yields to everything else. */
  #limitersFor(progress: Progress, number: number, ...limiters: readonly (ByteLimiter | undefined)[]): ByteLimiter[] {
    const prefetch = progress.isAwaited(number) ? undefined : this.#components.limits?.prefetch;
    return [prefetch, ...limiters].filter((limiter) => limiter !== undefined);
  }

  #originRequest(): OriginRequest {
    return { url: this.#request.url, headers: this.#request.headers, credentials: this.#request.credentials };
  }

  /** The URL that others may know: signed query parameters stay here. */
  #publicUrl(): string {
    return hashedUrl(this.#request.url, this.#request.filteredQueryParams);
  }

  #registration(layout: TaskLayout | undefined): PeerRegistration {
    const { host } = this.#components;
    const request = this.#request;
    return {
      hostId: host.hostId,
      taskId: this.taskId,
      peerId: this.#peerId,
      url: this.#publicUrl(),
      tag: request.tag,
      application: request.application,
      digest: this.#digest,
      filteredQueryParams: request.filteredQueryParams,
      requestHeaders: this.#options.forwardCredentials ? { ...request.headers, ...revealed(request) } : request.headers,
      requestedPieceLength: pieceLengthOfRequest(request),
      priority: this.isPrivate ? PRIORITY_SELF : request.priority,
      range: undefined,
      contentLength: layout?.contentLength,
      pieceLength: layout?.pieceLength,
      needBackToSource: request.needBackToSource,
      metadataOnly: false,
      concurrentPieceCount: this.#concurrentPieceCount,
      contentForCalculatingTaskId: request.contentForCalculatingTaskId,
      enableTaskIdBasedBlobDigest: request.enableTaskIdBasedBlobDigest,
    };
  }
}

/** Secrets in the clear, for those who asked for them to be forwarded. */
function revealed({ credentials }: TaskRequest): Record<string, string> {
  return Object.fromEntries(Object.entries(credentials).map(([name, secret]) => [name, secret.reveal()]));
}
