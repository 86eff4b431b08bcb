import type { PieceReport, ReadonlyPieceSet } from '@d7y/piece';
import type { Parent } from './parent.ts';

/** Who downloads what: the first message of an AnnouncePeer conversation. Carries no secret. */
export interface PeerRegistration {
  readonly hostId: string;
  readonly taskId: string;
  readonly peerId: string;
  /** Without signed query parameters. */
  readonly url: string;
  readonly tag: string | undefined;
  readonly application: string | undefined;
  /** `algorithm:encoded` of the whole content. */
  readonly digest: string | undefined;
  readonly filteredQueryParams: readonly string[];
  /** Headers without secrets. */
  readonly requestHeaders: Readonly<Record<string, string>>;
  /** Only one the caller asked for, in bytes. */
  readonly requestedPieceLength: number | undefined;
  /** 0–6, see the published Priority. */
  readonly priority: number;
  /** Set when only part of the task is wanted. */
  readonly range: { readonly start: number; readonly length: number } | undefined;
  /** Of the whole task; undefined when no one could be asked. */
  readonly contentLength: number | undefined;
  readonly pieceLength: number | undefined;
  /** Ask for the origin grant instead of parents (a seed that was told to fetch). */
  readonly needBackToSource: boolean;
  /** Everything is already here: only tell the scheduler. */
  readonly metadataOnly: boolean;
  /** Pieces of a download that is taken up again; stock schedulers are not told at once. */
  readonly heldPieces?: ReadonlyPieceSet | undefined;
  readonly concurrentPieceCount: number;
  readonly contentForCalculatingTaskId: string | undefined;
  readonly enableTaskIdBasedBlobDigest: boolean;
}

/** What the scheduler answers to a registration or a request for other parents. */
export type Instruction =
  | { readonly kind: 'empty' }
  | { readonly kind: 'parents'; readonly parents: readonly Parent[] }
  | { readonly kind: 'backToSource'; readonly reason: string | undefined }
  | { readonly kind: 'metadataOnly' };

/**
 * One AnnouncePeer conversation, seen from the peer: register first, then read instructions and report.
 * Reports never throw and never wait: a broken stream shows as an error of `instructions`.
 */
export interface Announcement {
  /** Instructions as they come; ends when the scheduler closes, throws when the stream breaks. Read by one reader. */
  readonly instructions: AsyncIterable<Instruction>;
  /** Pieces that few in the swarm have, as the scheduler said last; undefined where it says no such thing. */
  readonly hotPieces?: ReadonlyPieceSet | undefined;
  started(): void;
  backToSourceStarted(reason: string): void;
  pieceFinished(piece: PieceReport): void;
  pieceFailed(pieceNumber: number | undefined, parentId: string): void;
  /** The parents offered so far are exhausted; an instruction follows. */
  reschedule(parents: readonly Parent[], reason: string): void;
  /** Last words. Each returns once the scheduler has closed the stream, at the latest after a few seconds. */
  finished(contentLength: number, pieceCount: number): Promise<void>;
  backToSourceFinished(contentLength: number, pieceCount: number): Promise<void>;
  failed(reason: string): Promise<void>;
  backToSourceFailed(
    reason: string,
    origin?: { status: number; headers: Readonly<Record<string, string>> },
  ): Promise<void>;
  /** Breaks off without a word. */
  abort(): void;
}
