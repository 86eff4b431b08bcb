import type { StoredTask, TaskStore } from '@d7y/peer-engine';
import type { PieceSource, PieceUpload } from '@d7y/peer-protocol';
import type { PieceRecord } from '@d7y/piece';
import { failSpan } from '@d7y/service-kit';
import { ROOT_CONTEXT, SpanKind, type Tracer } from '@opentelemetry/api';
import type { ChildTraces } from './child-traces.ts';

/** What is counted of uploads. */
export interface UploadMetrics {
  uploadStarted(): void;
  /** @param succeeded the child took the whole piece */
  uploadEnded(bytes: number, succeeded: boolean): void;
}

/** Pieces that may be offered to others. */
export interface FinishedPieces {
  /** Waits while the piece is on its way. @returns undefined when it is not here and not coming */
  piece(taskId: string, pieceNumber: number, options: { signal: AbortSignal }): Promise<PieceRecord | undefined>;
}

/** Who decides, by what leaves this host, whom to tell of which piece. */
export interface UploadObserver {
  /** @returns to be called when the transfer is over */
  asked(
    taskId: string,
    pieceNumber: number,
    child: { readonly ip: string; readonly packetId: number },
  ): (isSent: boolean) => void;
}

export interface UploadsOptions {
  readonly store: TaskStore;
  readonly pieces: FinishedPieces;
  readonly traces: ChildTraces;
  readonly tracer: Tracer;
  readonly metrics: UploadMetrics;
  /** Hears of every piece that is asked for, and what became of it. */
  readonly steering: UploadObserver;
  /** Serve nothing to others. */
  readonly disableShared: boolean;
}

/** The pieces of this host as other daemons fetch them: counts uploads, and keeps tasks from eviction while they are read. */
export class Uploads implements PieceSource {
  readonly #options: UploadsOptions;
  readonly #byTask = new Map<string, { uploading: number; uploaded: number }>();
  #totalBytes = 0;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /** Bytes sent to other daemons since the start. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Pieces of a task that are being sent, and that were sent since it is here. */
  countsOf(taskId: string): { readonly uploading: number; readonly uploaded: number } {
    return this.#byTask.get(taskId) ?? { uploading: 0, uploaded: 0 };
  }

  /** A task is gone: its counts too. */
  forget(taskId: string): void {
    this.#byTask.delete(taskId);
  }

  async openPiece(
    kind: Parameters<PieceSource['openPiece']>[0],
    taskId: string,
    pieceNumber: number,
    child: { readonly ip: string; readonly packetId: number },
    { signal }: { signal: AbortSignal },
  ): Promise<PieceUpload | undefined> {
    if (kind !== 'standard' || this.#options.disableShared) return undefined;
    const piece = await this.#options.pieces.piece(taskId, pieceNumber, { signal });
    const stored = this.#options.store.get(taskId);
    if (piece === undefined || stored === undefined) return undefined;
    return this.#open(stored, piece, child);
  }

  #open(
    stored: StoredTask,
    piece: PieceRecord,
    child: { readonly ip: string; readonly packetId: number },
  ): PieceUpload {
    const { tracer, traces, metrics } = this.#options;
    const { taskId } = stored;
    const retained = stored.retain();
    const counts = this.#byTask.get(taskId) ?? { uploading: 0, uploaded: 0 };
    this.#byTask.set(taskId, counts);
    counts.uploading++;
    metrics.uploadStarted();
    const ended = this.#options.steering.asked(taskId, piece.number, child);
    const attributes = {
      task_id: taskId,
      piece_id: `${taskId}-${piece.number}`,
      piece_length: piece.length,
      remote_ip: child.ip,
    };
    const span = tracer.startSpan(
      'upload_piece',
      { kind: SpanKind.SERVER, attributes },
      traces.find(taskId, child) ?? ROOT_CONTEXT,
    );
    let isClosed = false;
    return {
      number: piece.number,
      offset: piece.offset,
      length: piece.length,
      digest: piece.digest,
      parentId: piece.parentId ?? '',
      costMs: piece.costMs,
      createdAtMs: piece.createdAtMs,
      read: (from, target) =>
        stored.read(
          piece.offset + from,
          target.subarray(0, Math.max(0, Math.min(target.byteLength, piece.length - from))),
        ),
      close: (sentBytes, error) => {
        if (isClosed) return;
        isClosed = true;
        retained[Symbol.dispose]();
        counts.uploading--;
        const succeeded = error === undefined && sentBytes >= piece.length;
        if (succeeded) counts.uploaded++;
        this.#totalBytes += sentBytes;
        metrics.uploadEnded(sentBytes, succeeded);
        ended(succeeded);
        span.setAttribute('sent_bytes', sentBytes);
        if (error !== undefined) failSpan(span, error);
        span.end();
      },
    };
  }
}
