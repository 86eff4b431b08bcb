import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { dfdaemon } from '@d7y/api';
import {
  OriginStatusError,
  OriginUnreachableError,
  TaskUnavailableError,
  type StoredTask,
  type TaskOpener,
  type TaskStore,
  type TaskStream,
} from '@d7y/peer-engine';
import { type TaskPieces, toBackendConnectError, toPieceMessage } from '@d7y/peer-protocol';
import { DfError, peerIdOf, pieceRange, piecesOf } from '@d7y/piece';
import { type AccessPolicy, blockedBy, type BlockListSource } from '@d7y/registry-proxy';
import { linkedSignal, type Logger, untilAborted } from '@d7y/service-kit';
import type { Identity } from '../host/identity.ts';
import { OutputFile } from '../output/output-file.ts';
import type { OutputRoots } from '../output/output-roots.ts';
import { NamedAuthorities } from './named-authorities.ts';
import { authorisedTaskRequest, DownloadRefusedError, InvalidDownloadError } from './task-request-message.ts';

/** Longest time that a timer takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The download took longer than its caller wants to wait. */
export class DownloadTimeoutError extends DfError {
  override readonly name = 'DownloadTimeoutError';
  readonly code = 'TIMEOUT';
  readonly retryable = true;
  constructor(limitMs: number) {
    super(`the download did not end within the ${limitMs} ms that its caller gave it`);
  }
}

export interface DownloadTaskPorts {
  readonly engine: TaskOpener;
  readonly store: TaskStore;
  readonly pieces: TaskPieces;
  readonly access: Pick<AccessPolicy, 'decide' | 'apart'>;
  readonly identity: Identity;
  readonly logger: Logger;
}

type Response = dfdaemon.DownloadTaskResponse;
type ResponseMember = Response['response'];

/** What callers of one listener may do. */
export interface DownloadRights {
  /** Where the daemon writes files for them; nowhere for callers from the network. */
  readonly outputRoots: OutputRoots | undefined;
  /** Piece length in bytes of what they ask for without naming one, where it is part of the task's id. */
  readonly pieceLength?: number | undefined;
  /** Downloads that are refused to them; none unless given. */
  readonly blockLists?: BlockListSource | undefined;
  /** A download was refused by them. */
  readonly onBlocked?: (() => void) | undefined;
  /**
   * What was begun goes on although the caller has gone, until this signal: a scheduler that dies after it told a seed to fetch
   * must not make the seed throw away what is under way.
   */
  readonly outlivesCaller: AbortSignal | undefined;
}

/**
 * DownloadTask as a stream: what the task is, then each piece when it is there. The stream ends when the whole task (or its range) is
 * here, its digest matched, and the output, if one was asked for, is in place.
 */
export const downloadTask = (ports: DownloadTaskPorts, rights: DownloadRights) => {
  const named = new NamedAuthorities(ports.logger);
  return async function* (
    { download }: dfdaemon.DownloadTaskRequest,
    context: HandlerContext,
  ): AsyncGenerator<Response, void, undefined> {
    if (download === undefined) throw new InvalidDownloadError('the request names no download');
    const { outputRoots, blockLists } = rights;
    const reason = blockLists && blockedBy(download, blockLists.current());
    if (reason !== undefined) {
      rights.onBlocked?.();
      throw new DownloadRefusedError(reason);
    }
    if (download.outputPath !== undefined && outputRoots === undefined) {
      throw new DownloadRefusedError('a file is only written for callers on the unix socket of this daemon');
    }
    if (download.forceHardLink) {
      throw new InvalidDownloadError(
        'content is copied, never linked: later edits of the file would change what others receive',
      );
    }
    const place = download.outputPath === undefined ? undefined : await outputRoots?.resolve(download.outputPath);
    // Leaving early must stop the work below, also where the call itself is not cancelled.
    using left = linkedSignal(context.signal);
    using _limit = abortAfter(download.timeout, left);
    const lifetime = download.needPieceContent ? undefined : rights.outlivesCaller;
    try {
      const isLocal = outputRoots !== undefined;
      const isForStore = !isLocal && !download.needPieceContent;
      const authorities = named.of(download, { isLocal, isForStore });
      const asked = await authorisedTaskRequest(download, ports.access, {
        signal: left.signal,
        authorities,
        isForStore,
      });
      const request = { ...asked, requestedPieceLength: asked.requestedPieceLength ?? rights.pieceLength };
      await using held = new HeldStream(ports, await ports.engine.open(request, { signal: lifetime ?? left.signal }));
      const { stream, stored } = held;
      const ids = {
        hostId: ports.identity.hostId,
        taskId: stream.taskId,
        peerId: peerIdOf(ports.identity, randomUUID()),
      };
      const say: Say = (response) => create(dfdaemon.DownloadTaskResponseSchema, { ...ids, response });
      if (lifetime !== undefined) held.goOnUntil(lifetime);
      yield say({ case: 'downloadTaskStartedResponse', value: startedMessage(stream, stored) });
      if (download.needPieceContent) {
        yield* contentMessages(stream, stored, say, { signal: left.signal });
        return;
      }
      // A range is only fetched: a part is no output.
      const outputPath = stream.range === undefined ? place : undefined;
      await using output =
        outputPath === undefined
          ? undefined
          : await OutputFile.create({ path: outputPath, overwrite: download.overwrite, digest: request.digest });
      const work = output === undefined ? held.over() : stream.deliver((bytes) => output.write(bytes));
      using waiting = linkedSignal(left.signal);
      work.catch(() => waiting.abort()); // heard below; here it ends the wait for pieces
      yield* pieceMessages(ports, held, say, { signal: waiting.signal });
      await unlessLeft(work, left.signal);
      await output?.commit();
    } catch (error) {
      throw backendError(error, context) ?? error;
    } finally {
      left.abort();
    }
  };
};

/** A caller's limit for all of its download; none where it names none. */
function abortAfter(timeout: Duration | undefined, left: { abort(reason: unknown): void }): Disposable {
  const limitMs = timeout === undefined ? 0 : durationMs(timeout);
  if (limitMs <= 0) return { [Symbol.dispose]: () => undefined };
  const timer = setTimeout(() => left.abort(new DownloadTimeoutError(limitMs)), Math.min(limitMs, MAX_TIMER_MS));
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

type Say = (response: ResponseMember) => Response;

/** A caller's part in a task that may go on when the caller has gone. Owner of the stream. */
class HeldStream implements AsyncDisposable {
  readonly stream: TaskStream;
  readonly stored: StoredTask | undefined;
  readonly #ports: DownloadTaskPorts;
  #over: Promise<void> | undefined;
  #goesOn = false;

  constructor(ports: DownloadTaskPorts, stream: TaskStream) {
    this.#ports = ports;
    this.stream = stream;
    this.stored = ports.store.get(stream.taskId);
  }

  /** Resolves when all that was asked for is here and right. */
  over(): Promise<void> {
    return (this.#over ??= this.#untilOver());
  }

  /** From now on disposal only lets go once the task is over, or the signal aborts. */
  goOnUntil(lifetime: AbortSignal): void {
    this.#goesOn = true;
    const letGo = async (): Promise<void> => {
      await Promise.race([this.over(), aborted(lifetime)]).catch((error: unknown) => {
        if (!lifetime.aborted)
          this.#ports.logger.info({ taskId: this.stream.taskId, err: error }, 'a download for others failed');
      });
      await this.stream[Symbol.asyncDispose]();
    };
    letGo().catch((error: unknown) => this.#ports.logger.warn({ err: error }, 'a download for others was not let go'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#goesOn) await this.stream[Symbol.asyncDispose]();
  }

  async #untilOver(): Promise<void> {
    const { stream, stored } = this;
    // A range, or content that is not kept, is over when it has passed.
    if (stream.range !== undefined || stored === undefined) return stream.deliver(() => Promise.resolve());
    if (stored.isComplete) return;
    using watch = this.#ports.pieces.watch(stream.taskId);
    if (watch !== undefined) for await (const _ of watch.newlyFinished);
    if (stored.isComplete) return;
    await stream.firstByte(); // rejects with the reason, if it is still known
    throw new TaskUnavailableError(stream.taskId, 'its download failed');
  }
}

/** Work that may go on for others, but is not waited for once this caller has gone. */
async function unlessLeft(work: Promise<void>, signal: AbortSignal): Promise<void> {
  await Promise.race([work, aborted(signal).then(() => signal.throwIfAborted())]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Pieces as they come, without their content. */
async function* pieceMessages(
  { pieces }: DownloadTaskPorts,
  { stream, stored }: HeldStream,
  say: Say,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<Response, void, undefined> {
  using watch = pieces.watch(stream.taskId);
  if (watch === undefined || stored === undefined) return;
  const wanted = new Set(wantedPieces(stream, stored));
  const announce = (number: number): Response | undefined => {
    const piece = wanted.delete(number) ? stored.piece(number) : undefined;
    if (piece === undefined) return undefined;
    const value = create(dfdaemon.DownloadPieceFinishedResponseSchema, { piece: toPieceMessage(piece) });
    return say({ case: 'downloadPieceFinishedResponse', value });
  };
  for (const number of watch.finished) {
    const message = announce(number);
    if (message !== undefined) yield message;
  }
  if (wanted.size === 0 || watch.state() !== 'running') return;
  for await (const number of untilAborted(watch.newlyFinished, signal)) {
    const message = announce(number);
    if (message !== undefined) yield message;
    if (wanted.size === 0) return;
  }
}

/** Pieces in order with their content, cut to the range; each is sent when all of it may be released. */
async function* contentMessages(
  stream: TaskStream,
  stored: StoredTask | undefined,
  say: Say,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<Response, void, undefined> {
  if (stored === undefined) throw new InvalidDownloadError('content of unknown length cannot be sent in pieces');
  let waiting = nextChunk();
  let taken = Promise.withResolvers<void>();
  const onAbort = (): void => taken.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  const delivered = stream
    .deliver((bytes) => {
      waiting.resolve(bytes);
      return taken.promise;
    })
    .then(() => waiting.resolve(undefined));
  let failure: Error | undefined;
  delivered.catch((error: unknown) => {
    // The buffer that is held here goes back now: nothing of it may be used any more.
    failure = error as Error;
    waiting.reject(failure);
    taken.reject(failure);
  });
  taken.promise.catch(() => undefined);
  const { start, length } = stream.range ?? { start: 0, length: stored.layout.contentLength };
  let chunk: Uint8Array = new Uint8Array();
  try {
    for (const number of wantedPieces(stream, stored)) {
      const piece = pieceRange(stored.layout, number);
      const from = Math.max(piece.start, start);
      const content = Buffer.allocUnsafe(Math.min(piece.start + piece.length, start + length) - from);
      for (let filled = 0; filled < content.length;) {
        if (chunk.length === 0) {
          const next = await waiting.promise;
          if (next === undefined) throw new Error(`task ${stream.taskId} ended early`);
          chunk = next;
        }
        if (failure !== undefined) throw failure;
        const part = chunk.subarray(0, content.length - filled);
        content.set(part, filled);
        filled += part.length;
        chunk = chunk.subarray(part.length);
        if (chunk.length > 0) continue;
        const release = taken.resolve;
        waiting = nextChunk();
        taken = Promise.withResolvers();
        taken.promise.catch(() => undefined);
        release();
      }
      const record = stored.piece(number);
      if (record === undefined) throw new Error(`piece ${number} of task ${stream.taskId} is gone`);
      yield say({
        case: 'downloadPieceFinishedResponse',
        value: create(dfdaemon.DownloadPieceFinishedResponseSchema, { piece: { ...toPieceMessage(record), content } }),
      });
    }
    await delivered;
  } finally {
    signal.removeEventListener('abort', onAbort);
    taken.reject(new Error('the caller left')); // a delivery that still waits would keep its buffer for ever
  }
}

/** The task may fail while the caller still takes what came before: whoever waits next hears of it. */
function nextChunk(): PromiseWithResolvers<Uint8Array | undefined> {
  const next = Promise.withResolvers<Uint8Array | undefined>();
  next.promise.catch(() => undefined);
  return next;
}

function startedMessage(stream: TaskStream, stored: StoredTask | undefined): dfdaemon.DownloadTaskStartedResponse {
  const { range } = stream;
  return create(dfdaemon.DownloadTaskStartedResponseSchema, {
    contentLength: BigInt(stream.contentLength ?? 0),
    ...(range === undefined ? {} : { range: { start: BigInt(range.start), length: BigInt(range.length) } }),
    responseHeader: { ...stream.responseHeaders },
    pieces: [...(stored?.finishedPieces ?? [])].flatMap((number) => {
      const piece = stored?.piece(number);
      return piece === undefined ? [] : [toPieceMessage(piece)];
    }),
    isFinished: stream.fromCache,
  });
}

function* wantedPieces(stream: TaskStream, { layout }: StoredTask): Iterable<number> {
  const numbers = piecesOf(layout, stream.range ?? { start: 0, length: layout.contentLength });
  for (let number = numbers?.first ?? 0; number <= (numbers?.last ?? -1); number++) yield number;
}

/** What the origin said travels in the form that stock clients print. */
function backendError(error: unknown, context: HandlerContext): Error | undefined {
  if (error instanceof OriginStatusError) {
    return toBackendConnectError(context, { message: error.message, headers: error.headers, status: error.status });
  }
  if (error instanceof OriginUnreachableError) {
    return toBackendConnectError(context, { message: error.message, headers: {}, status: undefined });
  }
  return undefined;
}
