/** The SHA-256 of a piece, computed by a daemon that fetched it from the origin. */
export interface PieceVoucher {
  /** Counted from 0. */
  readonly pieceNumber: number;
  /** 64 lower-case hex digits. */
  readonly sha256: string;
  /** Host that vouches. */
  readonly hostId: string;
}

/** Vouchers of one task, all on one piece grid. */
export interface VoucherBatch {
  /** Grid to which the piece numbers belong, in bytes; a batch for another grid than the reader's is of no use. */
  readonly contentLength: number;
  readonly pieceLength: number;
  readonly vouchers: readonly PieceVoucher[];
}

/** What a host did to deserve mistrust. */
export type BlamedFor = 'wrongBytes' | 'falseVoucher' | 'stalled' | 'unreachable';

/** Leave to fetch missing pieces of one task from the origin; disposing gives it back. */
export interface OriginLease extends Disposable {
  readonly taskId: string;
}

/**
 * What only our own processes tell each other of tasks (`d7y.swarm.v1`), over the scheduler that owns a task, else directly. All of it may be
 * missing: the cluster may be of stock parts, the scheduler may be down. Nothing here throws for that, or waits for it without bound.
 */
export interface SwarmLink {
  /** Tells of pieces that this daemon fetched from the origin. Batched; told again after a reconnect while the task is held. */
  vouch(taskId: string, batch: VoucherBatch): void;
  /**
   * Vouchers of a task from others, those known at once and later ones as they come, until the signal aborts (ends then, without throwing).
   * Goes on over reconnects; a batch may repeat what was said before.
   */
  follow(taskId: string, options: { signal: AbortSignal }): AsyncIterable<VoucherBatch>;
  /** Vouchers asked of a daemon of ours directly, for lack of a scheduler that is ours; empty from a stock one. Ends with its download. */
  followParent(
    parent: { readonly ip: string; readonly port: number; readonly hostId: string },
    taskId: string,
    options: { signal: AbortSignal },
  ): AsyncIterable<VoucherBatch>;
  /** A scheduler of ours answers for this task at present. */
  isLinked(taskId: string): boolean;
  /** Complains about a host to the scheduler of the task. */
  blame(taskId: string, pieceNumber: number, hostId: string, blamedFor: BlamedFor): void;
  /**
   * Asks for leave to fetch missing pieces from the origin although parents are there.
   * @returns undefined when it is refused; 'unlinked' when nobody can be asked
   */
  requestLease(taskId: string, options: { signal: AbortSignal }): Promise<OriginLease | 'unlinked' | undefined>;
}
