import type { ByteLimiter } from '@d7y/service-kit';

/** Where a received piece's bytes go. */
export interface PieceSink {
  /**
   * Takes bytes at a position in the task. The buffers are the transfer's own: they are reused after the promise resolves.
   * At most two calls are outstanding per transfer.
   */
  write(position: number, bytes: readonly Uint8Array[]): Promise<void>;
  /**
   * Opens the file behind `write`, once per transfer and when its first bytes are there, for a client that writes from another thread.
   * Absent where there is no file. The client disposes the file when it will write no more.
   */
  openFile?(): Promise<SinkFile>;
}

/** A file that is open for writing, at the positions of the task, until disposed. */
export interface SinkFile extends Disposable {
  readonly fd: number;
  /** Writing took so long since it was last said, in ms. */
  wrote(ms: number): void;
  /** A write failed. Resolves when it is worth trying again, rejects with what the transfer is to fail with. */
  recover(error: unknown): Promise<void>;
}

/** A piece as a parent describes it in front of its bytes. */
export interface ReceivedPiece {
  readonly number: number;
  readonly offset: number;
  readonly length: number;
  /** As the parent claims, and equal to what arrived; empty when the parent gave none. */
  readonly digest: string;
  /** 64 hex digits; present when it was asked for. */
  readonly sha256: string | undefined;
}

/** What the piece server needs to know of one piece in order to send it. */
export interface PieceUpload {
  readonly number: number;
  readonly offset: number;
  readonly length: number;
  readonly digest: string;
  /** The piece's own parent at this host; empty when it came from the origin. */
  readonly parentId: string;
  readonly costMs: number;
  readonly createdAtMs: number;
  /** Reads bytes of the piece, `from` counted from its first byte; fills `target` as far as the piece goes. */
  read(from: number, target: Uint8Array): Promise<number>;
  /** Called once, after the last byte was sent or the transfer broke. */
  close(sentBytes: number, error?: unknown): void;
}

/** The content behind a piece server. */
export interface PieceSource {
  /**
   * Opens a piece for sending, waiting while it is being downloaded right now.
   * @param child who asks: its address, and the packet id its request carried
   * @returns undefined when there is no such piece
   */
  openPiece(
    kind: TaskKind,
    taskId: string,
    pieceNumber: number,
    child: { readonly ip: string; readonly packetId: number },
    options: { signal: AbortSignal },
  ): Promise<PieceUpload | undefined>;
}

/** The families of tasks that the piece protocol knows. */
export type TaskKind = 'standard' | 'persistent' | 'persistentCache';

/** One piece to fetch from one parent. */
export interface PieceRequest {
  /** Piece server of the parent, as its announcement named it. */
  readonly ip: string;
  readonly tcpPort: number;
  /** 64 ASCII characters. */
  readonly taskId: string;
  readonly kind: TaskKind;
  /** The parent is known to serve several pieces over one connection, one after the other. */
  readonly keepsAlive?: boolean | undefined;
  /** Counted from 0. */
  readonly number: number;
  /** Where the piece lies by our own reckoning, in bytes; a parent that says otherwise is not listened to. */
  readonly expected: { readonly offset: number; readonly length: number };
}

/** Feature of daemons whose piece server answers several requests over one connection, see Hello. */
export const PIECE_KEEPALIVE = 'piece-keepalive';

/** Fetches pieces from the piece servers of parents. One connection per piece, but where the parent keeps them alive. */
export interface PieceClient {
  /**
   * Receives one piece into a sink, a batch at a time. When it rejects, bytes may have reached the sink: they do not count.
   * @param options.limiters drawn on for each chunk as it arrives; while one makes it wait, nothing is read
   * @param options.sha256 compute the piece's SHA-256 as well
   * @param options.onBytes sees every run of bytes as it arrives, in order; the buffer is valid only during the call
   * @throws {PieceDigestMismatchError} the bytes do not hash to what the parent announced
   * @throws {PieceMismatchError} the parent describes another piece than the one asked for
   * @throws {PieceRefusedError} the parent answered with an error
   * @throws {PieceStalledError} bytes came more slowly than the progress floor
   * @throws {PieceTransferError} no connection, no answer in time, a broken or short answer
   * @throws what the sink threw, or the reason of the signal
   */
  fetchPiece(request: PieceRequest, sink: PieceSink, options: FetchPieceOptions): Promise<ReceivedPiece>;
}

export interface FetchPieceOptions {
  readonly signal: AbortSignal;
  readonly limiters?: readonly ByteLimiter[] | undefined;
  readonly sha256?: boolean | undefined;
  readonly onBytes?: ((bytes: Uint8Array) => void) | undefined;
}
