import type { common, dfdaemon } from '@d7y/api';
import type { VoucherBatchFacts } from './voucher-message.ts';

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
  /** It is there for what no neighbour brings. Only schedulers of ours say so. */
  readonly isFallback?: boolean;
  /** It had all pieces when it was offered. */
  readonly isComplete?: boolean;
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
  /** It serves several pieces over one connection, one after the other. */
  readonly keepsAlive?: boolean;
  /** It offers turns to its children, on a connection of its own to the same port. */
  readonly takesTurns?: boolean;
}

/** How one of our own processes introduces itself; a stock one cannot. */
export interface Hello {
  /** Host id of a daemon, `ip:port` of a scheduler. */
  readonly instanceId: string;
  readonly version: string;
  /** Optional abilities. */
  readonly features: readonly string[];
}

/** What the other side says of itself in return. */
export interface HelloAnswer extends Hello {
  /** Where a daemon serves pieces over TLS; undefined when it does not. */
  readonly pieceTlsPort: number | undefined;
}

/** A daemon's upload gRPC, seen from a child. Every call rejects with the reason of its signal when that is aborted. */
export interface ParentClient {
  /** `ip:port`, for logs. */
  readonly address: string;
  /**
   * Where to fetch the interested pieces, each as soon as the parent has it; ends when all were named or the parent's task is over.
   * @param options.onAnswer called once, when the parent has taken the call, before it names anything
   * @throws {ParentSilentError} the parent does not answer the call at all
   * @throws {ParentWithoutPiecePortError} the parent serves no pieces over TCP
   * @throws {InvalidAnnouncementError} what the parent says cannot be true
   * @throws {RpcError}
   */
  syncPieces(
    request: { readonly taskId: string; readonly hostId: string; readonly interested: Iterable<number> },
    options: { signal: AbortSignal; onAnswer?: (() => void) | undefined },
  ): AsyncIterable<PieceAnnouncement>;
  /** The parent's network figures, about one message a second, without end. @throws {RpcError} */
  syncHost(
    request: { readonly hostId: string; readonly peerId: string },
    options: { signal: AbortSignal },
  ): AsyncIterable<common.Host>;
  /** Makes the daemon fetch a task and tells how it goes. @throws {RpcError} see backendErrorOf for what its origin said */
  downloadTask(
    download: common.Download,
    options: { signal: AbortSignal },
  ): AsyncIterable<dfdaemon.DownloadTaskResponse>;
  /** @returns whether the daemon says it is serving; false too when it cannot be reached */
  checkHealth(options: { signal: AbortSignal }): Promise<boolean>;
  /** @returns undefined from a stock daemon, which is remembered while the client lives. @throws {RpcError} */
  hello(options: { signal: AbortSignal }): Promise<HelloAnswer | undefined>;
  /**
   * What the daemon itself vouches for in a task, as it comes, until its download is over; nothing from a stock daemon.
   * @throws {RpcError}
   */
  followVouchers(taskId: string, options: { signal: AbortSignal }): AsyncIterable<VoucherBatchFacts>;
}

/** Clients of parents by address: connections are shared, and closed when idle. */
export interface ParentClientPool extends AsyncDisposable {
  at(address: { readonly ip: string; readonly port: number }): ParentClient;
}
