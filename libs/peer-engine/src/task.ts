import { peerIdOf } from '@d7y/piece';
import type { ByteRange, TaskLayout } from '@d7y/piece';
import type { PeerRegistration } from '@d7y/peer-protocol';
import { withSpan } from '@d7y/service-kit';
import type { Span } from '@opentelemetry/api';
import { announceComplete } from './announce-complete.ts';
import { Audience } from './audience.ts';
import type { SharedKnowledge } from './download.ts';
import { Download } from './download.ts';
import type { EngineComponents, EngineOptions } from './engine-options.ts';
import { TaskAbandonedError, TaskDigestMismatchError } from './errors.ts';
import { Journal } from './journal.ts';
import type { OriginProbe } from './ports/origin.ts';
import { OriginChangedError } from './ports/origin.ts';
import type { StoredTask } from './ports/task-store.ts';
import { Progress } from './progress.ts';
import { ReaderPositions } from './reader-positions.ts';
import { PRIORITY_SELF, publicUrlOf, registrationOf } from './registration.ts';
import type { OpenedConversation, Resolution } from './resolve-task.ts';
import { resolveTask } from './resolve-task.ts';
import type { TaskRequest } from './task-request.ts';
import { checkableDigestOf, originRequestOf, taskIdOfRequest } from './task-request.ts';

/** What callers join: pieces being fetched into the store, or a length that nobody knows. */
export type Resolved =
  | { readonly kind: 'stored'; readonly progress: Progress }
  | { readonly kind: 'unknownLength'; readonly probe: OriginProbe };

/**
 * One download of one task on this host, shared by all callers that want it meanwhile. Starts with the first caller and
 * ends when all they want is here, when it fails, or when nobody is left who wants it.
 */
export class Task {
  readonly taskId: string;
  /** By which the whole will be checked, in normal form; undefined when its callers know none. */
  readonly digest: string | undefined;
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
  /** Who profits from what is here before all is. */
  readonly audience = new Audience();
  readonly #components: EngineComponents;
  readonly #options: EngineOptions;
  readonly #shared: SharedKnowledge;
  readonly #request: TaskRequest;
  readonly #peerId: string;
  readonly #abort = new AbortController();
  /** Aborts for the readers when no more bytes will come. */
  readonly #failed = new AbortController();
  #progress: Progress | undefined;
  #download: Download | undefined;
  #callers = 0;
  #watchers = 0;
  #isOver = false;
  /** All that was wanted is here, and nothing more is fetched. */
  #isFinishing = false;
  #isTriggered: boolean;
  #isPrefetching = false;

  constructor(request: TaskRequest, components: EngineComponents, options: EngineOptions, shared: SharedKnowledge) {
    this.#request = request;
    this.#components = components;
    this.#options = options;
    this.#shared = shared;
    this.taskId = taskIdOfRequest(request);
    this.digest = checkableDigestOf(request);
    this.#peerId = peerIdOf(components.host, components.uuid());
    this.isPrivate = Object.keys(request.credentials).length > 0 || request.priority === PRIORITY_SELF;
    this.#isTriggered = request.needBackToSource;
    this.startedAtMs = components.clock();
    this.journal = new Journal(components.clock);
    // Whoever has a seed fetch something is about to ask it for the pieces.
    if (components.host.isSeed) this.audience.join();
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
    const isPastMending = this.#isFinishing && this.#progress?.isSatisfied === false;
    return (this.#abort.signal.aborted || isPastMending) && !this.#isOver;
  }

  get stored(): StoredTask | undefined {
    return this.#progress?.stored;
  }

  /**
   * Resolves when a piece arrived, was discarded, or the task is over.
   * @param signal aborts with `failed`, too
   */
  async nextChange(signal: AbortSignal): Promise<void> {
    await this.#progress?.changed.next({ signal }).catch((error: unknown) => {
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
    this.#download?.acquisition.meetScheduler();
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
    progress.want(progress.stored.digest !== undefined ? { start: 0, length: progress.layout.contentLength } : range);
    this.#download?.acquisition.kick();
    return true;
  }

  /**
   * A piece that is here proved to be damaged.
   * @returns whether it will come again; else it is gone, and whoever wants it has to ask anew
   */
  lose(number: number): boolean {
    const progress = this.#progress;
    if (progress === undefined || this.#shared.proven.has(progress.stored, number)) return true;
    if (this.#isOver || this.#isFinishing || this.#abort.signal.aborted) {
      progress.stored.discardPieces([number]);
      return false;
    }
    progress.discard([number]);
    this.#download?.acquisition.kick();
    return true;
  }

  /** Fetches the rest as well, behind what callers wait for, and goes on with it when they have left. */
  prefetch(): void {
    const progress = this.#progress;
    if (progress === undefined || this.#isPrefetching || this.#isOver || this.#abort.signal.aborted) return;
    this.#isPrefetching = true;
    this.enter();
    const { events } = this.#components;
    events.prefetchStarted(this.#request);
    void this.ended.then(() => {
      if (!progress.isWhole) events.prefetchFailed(this.#request);
      this.leave();
    });
    progress.want({ start: 0, length: progress.layout.contentLength }, { isPrefetch: true });
    this.#download?.acquisition.kick();
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
      await withSpan(tracer, 'download_task', { attributes }, (span) => this.#fetch(resolve, span));
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

  /** What is here of it, unless that was begun for another digest, which may be wrong. */
  async #held(): Promise<StoredTask | undefined> {
    const { store } = this.#components;
    const held = store.get(this.taskId);
    if (held === undefined || held.digest === this.digest) return held;
    await store.delete(this.taskId);
    return undefined;
  }

  async #fetch(resolve: (resolved: Resolved) => void, span: Span): Promise<void> {
    const { store } = this.#components;
    const held = await this.#held();
    const resolution: Resolution =
      held === undefined
        ? await resolveTask(
            this.#request,
            originRequestOf(this.#request),
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
    // The scheduler looks for parents while the task is put on record.
    const opened = held === undefined ? (resolution.opened ?? this.#register(resolution.layout)) : undefined;
    const stored = await store
      .create(
        held ?? {
          taskId: this.taskId,
          url: publicUrlOf(this.#request),
          layout: resolution.layout,
          digest: this.digest,
          responseHeaders: resolution.responseHeaders,
          isPrivate: this.isPrivate,
        },
      )
      .catch((error: unknown) => {
        void opened?.announcement.failed(error instanceof Error ? error.message : String(error));
        throw error;
      });
    using _retained = stored.retain();
    const progress = new Progress(stored, {
      releasesUnverified: this.#options.release === 'streaming',
      proven: this.#shared.proven,
    });
    this.#progress = progress;
    if (progress.layout.pieceCount === 0) {
      await this.#complete(progress);
      resolve({ kind: 'stored', progress });
      return;
    }
    const download = this.#createDownload(progress, opened);
    this.#download = download;
    try {
      resolve({ kind: 'stored', progress });
      // Callers say what they want as soon as they hear that the task is resolved.
      await new Promise(setImmediate);
      // More may have been wanted in the moment in which it ended.
      do await download.run();
      while (!progress.isSatisfied);
      await this.#finish(progress, download);
    } catch (error) {
      // What proves wrong after all of it has arrived, too: a lease that nobody gives back makes everybody wait.
      void download.acquisition.sayFailed(error);
      throw error;
    } finally {
      // The next download of this task must not meet a late write of this one.
      this.stop('the task is over');
      await download.settle();
    }
  }

  /** What was wanted is here and right. */
  async #finish(progress: Progress, { acquisition }: Download): Promise<void> {
    this.#isFinishing = true;
    if (!progress.isWhole) {
      this.#isOver = true;
      return await acquisition.sayFinished();
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
    // Unless some of it proved damaged in the meantime.
    if (progress.isWhole) await progress.stored.markComplete();
    progress.changed.beat();
  }

  /** @returns undefined when there is nothing to look for, or nobody to ask */
  #register(layout: TaskLayout): OpenedConversation | undefined {
    const [scheduler] = this.#components.schedulers.candidates(this.taskId);
    if (scheduler === undefined || layout.pieceCount === 0) return undefined;
    // Not the task's own signal: a peer that gives up still has a last word to say.
    const { signal } = new AbortController();
    const announcement = scheduler.announcePeer(this.#registration(layout), { signal });
    return { scheduler, announcement, instruction: undefined };
  }

  #createDownload(progress: Progress, opened: OpenedConversation | undefined): Download {
    return new Download({
      ...this.#shared,
      progress,
      registration: this.#registration(progress.layout),
      originRequest: originRequestOf(this.#request),
      mayAskOrigin: !this.#request.disableBackToSource,
      isPrivate: this.isPrivate,
      opened,
      readers: this.readers,
      audience: this.audience,
      journal: this.journal,
      components: this.#components,
      options: this.#options,
      keepGoing: () => {
        this.enter();
        return { [Symbol.dispose]: () => this.leave() };
      },
      signal: this.#abort.signal,
    });
  }

  #registration(layout: TaskLayout | undefined): PeerRegistration {
    const { concurrentPieceCount, forwardCredentials } = this.#options;
    const wished = this.#request.concurrentPieceCount ?? concurrentPieceCount;
    const peer = {
      hostId: this.#components.host.hostId,
      peerId: this.#peerId,
      isPrivate: this.isPrivate,
      concurrentPieceCount: Math.max(Math.min(wished, concurrentPieceCount), 1),
      forwardCredentials,
    };
    return registrationOf(this.#request, peer, layout);
  }
}
