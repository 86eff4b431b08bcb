import type { ByteRange, PieceRecord } from '@d7y/piece';
import { hashedUrl, parseRangeHeader } from '@d7y/piece';
import { unlessAborted } from '@d7y/service-kit';
import { DirectStream } from './direct-stream.ts';
import type { EngineComponents, EngineOptions, TaskWatch } from './engine-options.ts';
import {
  PrivateElsewhereError,
  RangeNotSatisfiableError,
  TaskAbandonedError,
  TaskDigestMismatchError,
} from './errors.ts';
import { heldContentOf, type TaskExplanation } from './explanation.ts';
import { HeldDigests } from './held-digests.ts';
import type { Journal } from './journal.ts';
import { mayBeOffered } from './offering.ts';
import type { StoredTask } from './ports/task-store.ts';
import { Freshness } from './freshness.ts';
import { IntakeBoard } from './intake-board.ts';
import { OriginTurns } from './origin-turns.ts';
import { ParentStandings } from './parent-standing.ts';
import { ProvenPieces } from './proven-pieces.ts';
import { Pulse } from './pulse.ts';
import { ReadBytes } from './read-bytes.ts';
import { ReaderBuffers } from './reader-buffers.ts';
import { Reputation } from './reputation.ts';
import { announceComplete } from './announce-complete.ts';
import { Task } from './task.ts';
import type { TaskOpener, TaskStream } from './task-opener.ts';
import { TaskReader } from './task-reader.ts';
import { watchTask } from './task-watch.ts';
import type { TaskRequest } from './task-request.ts';
import { checkableDigestOf, originRequestOf, taskIdOfRequest } from './task-request.ts';

/** Downloads that can be told of afterwards. */
const MAX_JOURNALS = 128;

/** A download under way, for whoever looks at the daemon. */
export interface ActiveTask {
  readonly taskId: string;
  /** Without query. */
  readonly url: string;
  readonly contentLength: number;
  readonly finishedPieces: number;
  readonly pieceCount: number;
}

/** All tasks of this host: owner of the downloads under way. Callers join what is there already. */
export class Engine implements TaskOpener, AsyncDisposable {
  readonly #components: EngineComponents;
  readonly #options: EngineOptions;
  readonly #reputation: Reputation;
  readonly #standings: ParentStandings;
  readonly #intake: IntakeBoard;
  readonly #originTurns = new OriginTurns();
  readonly #freshness: Freshness;
  readonly #heldDigests: HeldDigests;
  readonly #buffers: ReaderBuffers;
  readonly #proven: ProvenPieces;
  readonly #tasks = new Map<string, Task>();
  /** Of downloads under way and of the last ones. */
  readonly #journals = new Map<string, Journal>();
  readonly #stop = new AbortController();

  constructor(components: EngineComponents, options: EngineOptions) {
    this.#components = components;
    this.#options = options;
    this.#reputation = new Reputation(components.clock);
    const { parents, host, logger, limits } = components;
    this.#standings = new ParentStandings({
      ...{ parents, host, logger },
      perParentBytesPerSec: limits?.perParentBytesPerSec,
    });
    this.#intake = new IntakeBoard(parents.turns, components.clock);
    this.#freshness = new Freshness(components, options.revalidateMs);
    const { readBuffers: pool, largeReadBuffers: large, reserveBuffers: reserve, clock, hasher } = components;
    this.#buffers = new ReaderBuffers({ pool, large, reserve, policy: options.stall, clock, logger });
    this.#proven = new ProvenPieces({ hasher, buffers: this.#buffers, signal: this.#stop.signal });
    this.#heldDigests = new HeldDigests(this.#buffers);
  }

  async open(request: TaskRequest, { signal }: { signal: AbortSignal }): Promise<TaskStream> {
    const taskId = taskIdOfRequest(request);
    const digest = checkableDigestOf(request);
    for (;;) {
      signal.throwIfAborted();
      this.#stop.signal.throwIfAborted();
      const held = this.#components.store.get(taskId);
      if (
        held !== undefined &&
        !this.#tasks.has(taskId) &&
        (await this.#freshness.isStale(held, request, { signal }))
      ) {
        await this.delete(taskId);
        continue;
      }
      if (held?.isComplete) {
        const complete = await this.#openComplete(held, request, signal);
        if (complete !== undefined) return complete;
        await this.#components.store.delete(taskId);
        continue;
      }
      const running = this.#tasks.get(taskId);
      // Callers who expect different digests do not share one fate: each gets an attempt of its own, or the verdict on what is here by then.
      if (running?.isStopping || (running !== undefined && !running.isOver && running.digest !== digest)) {
        await unlessAborted(running.ended, signal);
        continue;
      }
      const task = running === undefined || running.isOver ? this.#start(request) : running;
      task.enter();
      let stream: TaskStream | undefined;
      try {
        stream = await this.#join(task, request, signal);
        if (stream !== undefined) return stream;
      } catch (error) {
        // The task may have failed for its first caller's reasons, such as credentials that this one does better.
        if (task !== running || signal.aborted || !task.isOver) throw error;
      } finally {
        if (stream === undefined) task.leave();
      }
    }
  }

  /**
   * What is here of a task and may be offered, and what arrives; undefined when nothing is known of it.
   * @param options.isAudience for another daemon: pieces that are vouched for are verified as early as can be
   */
  watch(taskId: string, { isAudience = true } = {}): TaskWatch | undefined {
    const stored = this.#components.store.get(taskId);
    if (stored === undefined) return undefined;
    return watchTask(stored, this.#tasks.get(taskId), { isAudience });
  }

  /** Settles, never rejects, when a task whose download has just begun is on record, or will not be; undefined where there is no such task. */
  opening(taskId: string): Promise<void> | undefined {
    const task = this.#tasks.get(taskId);
    if (task === undefined || task.isOver || task.stored !== undefined) return undefined;
    return task.resolved.then(
      () => undefined,
      () => undefined,
    );
  }

  /** Waits while the piece is on its way. @returns undefined when it is not here and not coming */
  async piece(
    taskId: string,
    pieceNumber: number,
    { signal }: { signal: AbortSignal },
  ): Promise<PieceRecord | undefined> {
    const stored = this.#components.store.get(taskId);
    const present = stored?.piece(pieceNumber);
    if (stored !== undefined && present !== undefined && mayBeOffered(stored, present)) return present;
    using watch = this.watch(taskId);
    if (watch === undefined) return undefined;
    const stop = Promise.withResolvers<undefined>();
    const abort = () => stop.resolve(undefined);
    signal.addEventListener('abort', abort, { once: true });
    try {
      const arrived = (async () => {
        for await (const piece of watch.arriving) if (piece.number === pieceNumber) return piece;
        return undefined;
      })();
      arrived.catch(() => undefined);
      return await Promise.race([arrived, stop.promise]);
    } catch {
      return undefined;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  active(): readonly ActiveTask[] {
    return [...this.#tasks.values()].flatMap(({ taskId, stored }) =>
      stored === undefined
        ? []
        : {
            taskId,
            url: stored.url.replace(/\?.*$/s, ''),
            contentLength: stored.layout.contentLength,
            finishedPieces: stored.finishedPieces.size,
            pieceCount: stored.layout.pieceCount,
          },
    );
  }

  /** What is here of a task, where it came from, and what its last download did. */
  explain(taskId: string): TaskExplanation {
    const stored = this.#components.store.get(taskId);
    return {
      held: stored === undefined ? undefined : heldContentOf(stored),
      download: this.#journals.get(taskId)?.story(),
    };
  }

  /** Ends the task's download, if any, and removes its content once nobody reads it any more. */
  async delete(taskId: string): Promise<void> {
    const task = this.#tasks.get(taskId);
    task?.stop('it was deleted');
    await task?.ended;
    await this.#components.store.delete(taskId);
  }

  /** Ends all downloads; what is on disk stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new TaskAbandonedError('*', 'the daemon stops'));
    for (const task of this.#tasks.values()) task.stop('the daemon stops');
    await Promise.all([...this.#tasks.values()].map(({ ended }) => ended));
    this.#standings.stop();
  }

  #start(request: TaskRequest): Task {
    const task = new Task(request, this.#components, this.#options, {
      reputation: this.#reputation,
      standings: this.#standings,
      intake: this.#intake,
      originTurns: this.#originTurns,
      proven: this.#proven,
      buffers: this.#buffers,
    });
    this.#tasks.set(task.taskId, task);
    this.#keepJournal(task);
    void task.ended.then(() => {
      if (this.#tasks.get(task.taskId) === task) this.#tasks.delete(task.taskId);
    });
    return task;
  }

  #keepJournal({ taskId, journal }: Task): void {
    this.#journals.delete(taskId);
    this.#journals.set(taskId, journal);
    if (this.#journals.size <= MAX_JOURNALS) return;
    const [oldest] = this.#journals.keys();
    if (oldest !== undefined) this.#journals.delete(oldest);
  }

  /**
   * @returns undefined when the content was never checked and does not have the digest that this caller expects
   * @throws {TaskDigestMismatchError} it was checked: it is the caller who expects something wrong
   */
  async #openComplete(stored: StoredTask, request: TaskRequest, signal: AbortSignal): Promise<TaskStream | undefined> {
    await this.#checkAccess(stored.isPrivate, stored, request, signal);
    const digest = checkableDigestOf(request);
    if (!(await this.#heldDigests.has(stored, digest, { signal }))) {
      if (stored.digest === undefined) return undefined;
      throw new TaskDigestMismatchError(stored.taskId, digest ?? '', stored.digest);
    }
    // A scheduler that has us fetch what we hold does not know that we hold it.
    if (request.needBackToSource) await announceComplete(stored, request, this.#components, this.#stop.signal);
    return new TaskReader({
      source: {
        stored,
        advanced: new Pulse(),
        releasedEnd: () => stored.layout.contentLength,
        traffic: () => ({ backToSource: 0, remotePeer: 0 }),
        lost: (number) => this.#lost(stored, number),
        ended: this.#stop.signal,
      },
      range: resolveRange(request, stored.layout.contentLength),
      fromCache: true,
      localBytes: stored.layout.contentLength,
      ...this.#reading(stored, request, signal),
      onLeave: () => undefined,
    });
  }

  /** @returns undefined when the task ended without what this caller wants: start another one */
  async #join(task: Task, request: TaskRequest, signal: AbortSignal): Promise<TaskStream | undefined> {
    const resolved = await unlessAborted(task.resolved, signal);
    await this.#checkAccess(task.isPrivate || task.stored?.isPrivate === true, task.stored, request, signal);
    if (resolved.kind === 'unknownLength') {
      const { origin } = this.#components;
      task.leave();
      return new DirectStream(task.taskId, origin, originRequestOf(request), resolved.probe, task.digest, signal);
    }
    if (request.needBackToSource) task.trigger();
    const { progress } = resolved;
    const { contentLength } = progress.layout;
    const range = resolveRange(request, contentLength);
    const localBytes = sumOfPieces(progress.stored) - progress.received.backToSource - progress.received.remotePeer;
    if (!task.want(range ?? { start: 0, length: contentLength })) return undefined;
    if (request.prefetch === true && range !== undefined) task.prefetch();
    return new TaskReader({
      source: {
        stored: progress.stored,
        advanced: progress.advanced,
        releasedEnd: (from) => progress.releasedEnd(from),
        watchRead: (start) => new ReadBytes(progress, start),
        traffic: () => ({ ...progress.received, parents: progress.parents.size }),
        attend: () => task.audience.join(),
        waitAt: (position) => task.readers.waitAt(position),
        lost: (number) => this.#lost(progress.stored, number),
        ended: task.failed,
      },
      range,
      fromCache: false,
      localBytes,
      ...this.#reading(progress.stored, request, signal),
      onLeave: () => task.leave(),
    });
  }

  /** What every reader works with. */
  #reading(stored: StoredTask, request: TaskRequest, signal: AbortSignal) {
    return {
      buffers: this.#buffers,
      proven: this.#proven,
      reopen: async ({ start, length }: ByteRange): Promise<TaskStream | undefined> => {
        const rest = await this.open({ ...request, rangeHeader: `bytes=${start}-${start + length - 1}` }, { signal });
        // Without a digest other bytes may be of another version.
        if (stored.digest !== undefined || this.#components.store.get(stored.taskId) === stored) return rest;
        await rest[Symbol.asyncDispose]();
        return undefined;
      },
      signal,
    };
  }

  /** A piece proved to be damaged on disk. @returns whether a download that is under way fetches it again */
  #lost(stored: StoredTask, pieceNumber: number): boolean {
    const { taskId } = stored;
    this.#components.logger.warn({ taskId, pieceNumber }, 'a piece is damaged on disk; it is fetched again');
    const task = this.#tasks.get(taskId);
    if (task?.stored === stored) return task.lose(pieceNumber);
    if (!this.#proven.has(stored, pieceNumber)) stored.discardPieces([pieceNumber]);
    return false;
  }

  /** Private content goes only to callers whom the origin accepts; who brings credentials, or was `isAccepted`, was accepted at the door. */
  async #checkAccess(
    isPrivate: boolean,
    stored: StoredTask | undefined,
    request: TaskRequest,
    signal: AbortSignal,
  ): Promise<void> {
    if (!isPrivate) return;
    // Ids that callers choose, or that are digests, may stand for content of several addresses.
    if (stored !== undefined && stored.url !== hashedUrl(request.url, request.filteredQueryParams)) {
      throw new PrivateElsewhereError(stored.taskId);
    }
    if (request.isAccepted === true || Object.keys(request.credentials).length > 0) return;
    await this.#components.origin.probe(originRequestOf(request), { signal });
  }
}

/** @throws {RangeNotSatisfiableError} */
function resolveRange(request: TaskRequest, contentLength: number): ByteRange | undefined {
  const range = parseRangeHeader(request.rangeHeader, contentLength);
  if (range.kind === 'unsatisfiable') throw new RangeNotSatisfiableError(contentLength);
  return range.kind === 'ranges' ? range.ranges[0] : undefined;
}

function sumOfPieces(stored: StoredTask): number {
  let sum = 0;
  for (const number of stored.finishedPieces) sum += stored.piece(number)?.length ?? 0;
  return sum;
}
