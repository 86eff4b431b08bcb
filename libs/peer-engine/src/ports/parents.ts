import type { ByteRange } from '@d7y/piece';
import type { PeerRegistration, PieceAnnouncement, PieceSink, ReceivedPiece } from '@d7y/peer-protocol';

/** Other daemons, as places to fetch pieces from. */
export interface Parents {
  /** Pieces of `interested` that the daemon at ip:port (upload gRPC) has, each as soon as it has it. */
  syncPieces(
    address: { readonly ip: string; readonly port: number },
    request: { readonly taskId: string; readonly interested: readonly number[] },
    options: { signal: AbortSignal },
  ): AsyncIterable<PieceAnnouncement>;
  /** Fetches one piece from a piece server; its CRC has matched what the parent announced. */
  fetchPiece(
    request: {
      readonly taskId: string;
      readonly ip: string;
      readonly tcpPort: number;
      readonly number: number;
      readonly expected: ByteRange;
    },
    sink: PieceSink,
    options: { signal: AbortSignal },
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
