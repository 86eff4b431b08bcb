export type { Announcement, Instruction, PeerRegistration } from './announcement.ts';
export {
  AnnouncementBacklogError,
  InvalidAnnouncementError,
  ParentWithoutPiecePortError,
  PieceDigestMismatchError,
  PieceFetchError,
  PieceMismatchError,
  PieceRefusedError,
  PieceStalledError,
  PieceTransferError,
} from './errors.ts';
export type { PieceAttempt, PieceRefusal, TransferPhase } from './errors.ts';
export type { Hello, Parent, ParentClient, ParentClientPool, PieceAnnouncement } from './parent.ts';
export type {
  PieceClient,
  PieceRequest,
  PieceSink,
  PieceSource,
  PieceUpload,
  ReceivedPiece,
  TaskKind,
} from './piece-transfer.ts';
export type { SchedulerClient } from './scheduler.ts';
