/** Where a received piece's bytes go. */
export interface PieceSink {
  /**
   * Takes bytes at a position in the task. The buffers are the transfer's own: they are reused after the promise resolves.
   * At most two calls are outstanding per transfer.
   */
  write(position: number, bytes: readonly Uint8Array[]): Promise<void>;
}

/** A piece as a parent describes it in front of its bytes. */
export interface ReceivedPiece {
  readonly number: number;
  readonly offset: number;
  readonly length: number;
  /** As the parent claims, and equal to what arrived; empty when the parent gave none. */
  readonly digest: string;
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
