import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { dfdaemon } from '@d7y/api';
import {
  OriginStatusError,
  OriginUnreachableError,
  type StoredTask,
  type TaskOpener,
  type TaskStore,
  type TaskStream,
} from '@d7y/peer-engine';
import { type TaskPieces, toBackendConnectError, toPieceMessage } from '@d7y/peer-protocol';
import { peerIdOf, pieceRange, piecesOf } from '@d7y/piece';
import type { AccessPolicy } from '@d7y/registry-proxy';
import { linkedSignal, type Logger, untilAborted } from '@d7y/service-kit';
import type { Identity } from '../host/identity.ts';
import { OutputFile } from '../output/output-file.ts';
import { authorisedTaskRequest, DownloadRefusedError, InvalidDownloadError } from './task-request-message.ts';

export interface DownloadTaskPorts {
  readonly engine: TaskOpener;
  readonly store: TaskStore;
  readonly pieces: TaskPieces;
  readonly access: Pick<AccessPolicy, 'decide'>;
  readonly identity: Identity;
  readonly logger: Logger;
}

type Response = dfdaemon.DownloadTaskResponse;
type ResponseMember = Response['response'];

/**
 * DownloadTask as a stream: what the task is, then each piece when it is there. The stream ends when the whole task (or its range) is
 * here, its digest matched, and the output, if one was asked for, is in place.
 * @param mayWriteFiles callers on this machine's socket may have the daemon write a file; callers from the network may not
 */
export const downloadTask = (ports: DownloadTaskPorts, { mayWriteFiles }: { mayWriteFiles: boolean }) =>
  async function* (
    { download }: dfdaemon.DownloadTaskRequest,
    context: HandlerContext,
  ): AsyncGenerator<Response, void, undefined> {
    if (download === undefined) throw new InvalidDownloadError('the request names no download');
    if (download.outputPath !== undefined && !mayWriteFiles) {
      throw new DownloadRefusedError('a file is only written for callers on the unix socket of this daemon');
    }
    if (download.forceHardLink) {
      throw new InvalidDownloadError(
        'content is copied, never linked: later edits of the file would change what others receive',
      );
    }
    // Leaving early must stop the work below, also where the call itself is not cancelled.
    using left = linkedSignal(context.signal);
    try {
      const { signal } = left;
      const request = await authorisedTaskRequest(download, ports.access, { signal });
      await using stream = await ports.engine.open(request, { signal });
      const ids = {
        hostId: ports.identity.hostId,
        taskId: stream.taskId,
        peerId: peerIdOf(ports.identity, randomUUID()),
      };
      const say = (response: ResponseMember): Response =>
        create(dfdaemon.DownloadTaskResponseSchema, { ...ids, response });
      const stored = ports.store.get(stream.taskId);
      yield say({ case: 'downloadTaskStartedResponse', value: startedMessage(stream, stored) });
      // Without its own output a range is only fetched, as upstream has it.
      const outputPath = stream.range === undefined ? download.outputPath : undefined;
      await using output =
        outputPath === undefined
          ? undefined
          : await OutputFile.create({ path: outputPath, overwrite: download.overwrite, digest: request.digest });
      if (download.needPieceContent) {
        yield* contentMessages(stream, stored, say, { signal });
        return;
      }
      const delivered = stream.deliver(async (bytes) => output?.write(bytes));
      delivered.catch(() => left.abort()); // heard below; here it ends the wait for pieces
      if (stored !== undefined) yield* pieceMessages(ports, stream, stored, say, { signal });
      await delivered;
      await output?.commit();
    } catch (error) {
      throw backendError(error, context) ?? error;
    } finally {
      left.abort();
    }
  };

/** Pieces as they come, without their content. */
async function* pieceMessages(
  { pieces }: DownloadTaskPorts,
  stream: TaskStream,
  stored: StoredTask,
  say: (response: ResponseMember) => Response,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<Response, void, undefined> {
  const wanted = new Set(wantedPieces(stream, stored));
  using watch = pieces.watch(stream.taskId);
  if (watch === undefined) return;
  const announce = (number: number): Response | undefined => {
    const piece = wanted.delete(number) ? stored.piece(number) : undefined;
    return (
      piece &&
      say({
        case: 'downloadPieceFinishedResponse',
        value: create(dfdaemon.DownloadPieceFinishedResponseSchema, { piece: toPieceMessage(piece) }),
      })
    );
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
  say: (response: ResponseMember) => Response,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<Response, void, undefined> {
  if (stored === undefined) throw new InvalidDownloadError('content of unknown length cannot be sent in pieces');
  let waiting = Promise.withResolvers<Uint8Array | undefined>();
  let taken = Promise.withResolvers<void>();
  const onAbort = (): void => taken.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  const delivered = stream
    .deliver((bytes) => {
      waiting.resolve(bytes);
      return taken.promise;
    })
    .then(() => waiting.resolve(undefined));
  delivered.catch((error: unknown) => waiting.reject(error as Error));
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
        const part = chunk.subarray(0, content.length - filled);
        content.set(part, filled);
        filled += part.length;
        chunk = chunk.subarray(part.length);
        if (chunk.length > 0) continue;
        const release = taken.resolve;
        waiting = Promise.withResolvers();
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
