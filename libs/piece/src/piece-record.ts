/** Where the bytes of a piece came from. */
export type TrafficType = 'backToSource' | 'remotePeer' | 'localPeer';

/** A piece that is complete, as the published protocol reports it. */
export interface PieceReport {
  /** Counted from 0. */
  readonly number: number;
  /** Position of the first byte in the task. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** `crc32:<decimal>`. */
  readonly digest: string;
  /** Peer id of the parent; undefined when the bytes came from the origin. */
  readonly parentId?: string | undefined;
  readonly trafficType: TrafficType;
  /** How long the transfer took. */
  readonly costMs: number;
  /** Unix time in milliseconds. */
  readonly createdAtMs: number;
}

/** A piece that is complete, as the store keeps it. */
export interface PieceRecord extends PieceReport {
  /** Of the bytes, 64 lower-case hex digits; undefined where it was not computed. */
  readonly sha256?: string | undefined;
  /** The bytes came from the origin, or matched a voucher of somebody who got them there. */
  readonly isVerified: boolean;
}
