import type { common } from '@d7y/api';

/** A peer of a task from which its pieces can be fetched, as a scheduler offers it. */
export interface Parent {
  readonly peerId: string;
  readonly hostId: string;
  /** Upload gRPC endpoint (SyncPieces, SyncHost, DownloadTask). */
  readonly ip: string;
  readonly port: number;
  readonly isSeed: boolean;
  readonly idc: string | undefined;
  readonly location: string | undefined;
  /** The peer registered as one that goes to the origin itself (LEVEL3): its content may not be public. */
  readonly isPrivate: boolean;
  /** Length and piece length of the task, in bytes, where the offer tells. */
  readonly contentLength: number | undefined;
  readonly pieceLength: number | undefined;
  /** The offer as it came; ReschedulePeer must echo it in full. */
  readonly offer: common.Peer;
}

/** A piece that a parent has, and where to fetch it. */
export interface PieceAnnouncement {
  readonly number: number;
  readonly offset: number;
  readonly length: number;
  /** Piece server of the parent. */
  readonly ip: string;
  readonly tcpPort: number;
}
