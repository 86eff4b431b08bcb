import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { dfdaemon } from '@d7y/api';
import { unlessAborted, untilAborted } from '@d7y/service-kit';

/** The pieces of a task on this host, as children ask for them. */
export interface TaskPieces {
  /**
   * @param child who asks; absent for somebody who only looks on
   * @returns undefined for an unknown task
   */
  watch(taskId: string, child?: PieceChild): PieceWatch | undefined;
  /**
   * The scheduler hears of a download before it is on record here, and names this host to others at once.
   * @returns settles, never rejects, when a task that has just been begun can be watched, or never will; undefined where there is none
   */
  opening(taskId: string): Promise<void> | undefined;
}

/** A daemon that asks for pieces of a task. */
export interface PieceChild {
  /** `ip-hostname`. */
  readonly hostId: string;
  readonly interestedPieceNumbers: readonly number[];
}

/** A look at one task: what is finished now, and what finishes from now on. Nothing falls between the two. */
export interface PieceWatch extends Disposable {
  readonly finished: Iterable<number>;
  /** Numbers in any order; ends when the task does. */
  readonly newlyFinished: AsyncIterable<number>;
  state(): 'running' | 'finished' | 'failed';
  /** Where a finished piece lies in the task, in bytes. */
  piece(pieceNumber: number): { readonly offset: number; readonly length: number } | undefined;
}

export interface PieceSyncRequest extends PieceChild {
  readonly taskId: string;
}

/** Piece server of this host, as children reach it. */
export interface PieceServerAddress {
  readonly ip: string;
  /** Undefined where pieces are served over TLS alone: our children learn of that port by Hello. */
  readonly tcpPort: number | undefined;
}

/**
 * The answer to SyncPieces: one message for each interested piece as soon as it is finished. Ends when all are named, when
 * the task has finished, or when the child leaves.
 * @throws {ConnectError} Internal, which is what stock daemons answer, for a task that is unknown or has failed
 */
export async function* syncPiecesStream(
  tasks: TaskPieces,
  { taskId, hostId, interestedPieceNumbers }: PieceSyncRequest,
  server: PieceServerAddress,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<MessageInitShape<typeof dfdaemon.SyncPiecesResponseSchema>, void, undefined> {
  const child = { hostId, interestedPieceNumbers };
  using watch = tasks.watch(taskId, child) ?? (await watchOpening(tasks, taskId, child, signal));
  if (signal.aborted) return;
  if (watch === undefined) throw new ConnectError(`task ${taskId} is not here`, Code.Internal);
  const wanted = new Set(interestedPieceNumbers);
  const where = { ip: server.ip, ...(server.tcpPort !== undefined && { tcpPort: server.tcpPort }) };
  const announce = (number: number) => {
    const piece = wanted.delete(number) ? watch.piece(number) : undefined;
    return piece === undefined
      ? undefined
      : { number, offset: BigInt(piece.offset), length: BigInt(piece.length), ...where };
  };
  if (watch.state() === 'failed') throw new ConnectError(`task ${taskId} has failed`, Code.Internal);
  for (const number of watch.finished) {
    if (signal.aborted) return;
    const announcement = announce(number);
    if (announcement !== undefined) yield announcement;
  }
  if (wanted.size === 0 || watch.state() === 'finished') return;
  for await (const number of untilAborted(watch.newlyFinished, signal)) {
    const announcement = announce(number);
    if (announcement !== undefined) yield announcement;
    if (wanted.size === 0) return;
  }
  if (!signal.aborted && watch.state() === 'failed') throw new ConnectError(`task ${taskId} has failed`, Code.Internal);
}

async function watchOpening(
  tasks: TaskPieces,
  taskId: string,
  child: PieceChild,
  signal: AbortSignal,
): Promise<PieceWatch | undefined> {
  const opening = tasks.opening(taskId);
  if (opening === undefined) return undefined;
  await unlessAborted(opening, signal).catch(() => undefined);
  return signal.aborted ? undefined : tasks.watch(taskId, child);
}
