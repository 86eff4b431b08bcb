import type { ByteRange } from '@d7y/piece';
import type {
  FetchPieceOptions,
  PeerRegistration,
  PieceAnnouncement,
  PieceSink,
  ReceivedPiece,
  TurnClient,
} from '@d7y/peer-protocol';

/** What a host sends, and could, in bits per second; 0 where it does not say. */
export interface HostLoad {
  readonly maxTxBps: number;
  readonly txBps: number;
}

/** Other daemons, as places to fetch pieces from. */
export interface Parents {
  /** Turns that daemons of ours offer; undefined where nobody speaks of them. */
  readonly turns?: TurnClient | undefined;
  /**
   * Pieces of `interested` that the daemon at ip:port (upload gRPC) has, each as soon as it has it.
   * @param options.onAnswer called once, when the daemon has taken the call, before it names anything
   */
  syncPieces(
    address: { readonly ip: string; readonly port: number },
    request: { readonly taskId: string; readonly interested: readonly number[] },
    options: { signal: AbortSignal; onAnswer?: () => void },
  ): AsyncIterable<PieceAnnouncement>;
  /** The load of the daemon at ip:port, now and then, until the signal aborts or the daemon does not tell any more. */
  watchLoad(
    address: { readonly ip: string; readonly port: number },
    options: { signal: AbortSignal },
  ): AsyncIterable<HostLoad>;
  /**
   * Fetches one piece from a piece server; its CRC has matched what the parent announced. When it settles, no write is under way any more.
   * @param options.limiters drawn on for each chunk as it arrives
   * @param options.sha256 compute that of the piece, too
   */
  fetchPiece(
    request: {
      readonly taskId: string;
      readonly ip: string;
      readonly tcpPort: number;
      /** It serves several pieces over one connection. */
      readonly keepsAlive?: boolean;
      readonly number: number;
      readonly expected: ByteRange;
    },
    sink: PieceSink,
    options: Omit<FetchPieceOptions, 'onBytes'>,
  ): Promise<ReceivedPiece>;
  /**
   * Tells a seed to fetch a task, as a scheduler would.
   * @returns once the seed has begun: the length of the task; the seed goes on by itself, also when `signal` aborts
   */
  triggerSeed(
    address: { readonly ip: string; readonly port: number },
    registration: PeerRegistration,
    options: { signal: AbortSignal },
  ): Promise<{ readonly contentLength: number }>;
}
