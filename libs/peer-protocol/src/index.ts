export { ANNOUNCEMENT_LIMITS } from './announce-peer.ts';
export type { AnnouncementLimits } from './announce-peer.ts';
export type { Announcement, Instruction, PeerRegistration } from './announcement.ts';
export { backendErrorOf, toBackendConnectError } from './backend-error.ts';
export type { BackendError } from './backend-error.ts';
export { createDaemonTransport } from './daemon-transport.ts';
export type { DaemonTarget } from './daemon-transport.ts';
export {
  AnnouncementBacklogError,
  InvalidAnnouncementError,
  ParentSilentError,
  ParentWithoutPiecePortError,
  PieceDigestMismatchError,
  PieceFetchError,
  PieceReceiverLostError,
  PieceMismatchError,
  PieceRefusedError,
  PieceStalledError,
  PieceTransferError,
} from './errors.ts';
export type { PieceAttempt, PieceRefusal, TransferPhase } from './errors.ts';
export { createGrpcConnection } from './grpc-connection.ts';
export type { GrpcConnection, GrpcConnectionOptions, GrpcTarget } from './grpc-connection.ts';
export { toHostLoadMessage, toHostMessage } from './host-message.ts';
export type { HostDescription, HostLoad } from './host-message.ts';
export { LINKED_PEERS_LIMITS, LinkedPeers } from './linked-peers.ts';
export type { LinkedPeersInit, LinkedPeersLimits, LinkRequestCase } from './linked-peers.ts';
export { toSourceMessage } from './linked-announcement.ts';
export { packetIdOf } from './packet-id.ts';
export { createParentClient, createParentClientPool } from './parent-client.ts';
export type { ParentClientOptions, ParentClientPoolOptions } from './parent-client.ts';
export type { Hello, HelloAnswer, Parent, ParentClient, ParentClientPool, PieceAnnouncement } from './parent.ts';
export type { RunningContentHash, ContentHasher } from './content-hasher.ts';
export { piecesOf, toPieceBitmap } from './piece-bitmap.ts';
export { createPieceClient } from './piece-client.ts';
export { createThreadedPieceClient } from './threaded-piece-client.ts';
export type { ThreadedPieceClient, ThreadedPieceClientOptions } from './threaded-piece-client.ts';
export type { PieceClientOptions } from './piece-client.ts';
export { toPieceMessage, toPieceReport } from './piece-message.ts';
export { PIECE_SERVER_LIMITS, startPieceServer } from './piece-server.ts';
export type { PieceServer, PieceServerLimits, PieceServerOptions } from './piece-server.ts';
export { syncPiecesStream } from './piece-sync.ts';
export type { PieceServerAddress, PieceSyncRequest, PieceWatch, TaskPieces } from './piece-sync.ts';
export { PIECE_KEEPALIVE } from './piece-transfer.ts';
export type {
  FetchPieceOptions,
  PieceClient,
  PieceRequest,
  PieceSink,
  PieceSource,
  PieceUpload,
  ReceivedPiece,
  SinkFile,
  TaskKind,
} from './piece-transfer.ts';
export type { ProgressFloor } from './progress-floor.ts';
export { toDownloadMessage } from './registration-message.ts';
export { RpcError } from './rpc-error.ts';
export { createManagerClient } from './manager-client.ts';
export type { ListedScheduler, ManagerClient, SchedulerSearch } from './manager-client.ts';
export { createSeedPeerManagerClient } from './manager-seed-client.ts';
export type { SeedPeerManagerClient, SeedPeerRegistration } from './manager-seed-client.ts';
export { createSchedulerManagerClient } from './manager-scheduler-client.ts';
export type {
  ManagedApplication,
  ManagedScheduler,
  SchedulerManagerClient,
  SchedulerName,
  SchedulerRegistration,
} from './manager-scheduler-client.ts';
export { createSchedulerClient } from './scheduler-client.ts';
export type { SchedulerClientOptions } from './scheduler-client.ts';
export type { SchedulerClient } from './scheduler.ts';
export { joinTasks, SwarmListing } from './swarm-listing.ts';
export type { AskedScheduler, SwarmListingOptions, Telling, Told } from './swarm-listing.ts';
export { createTurnClient, PIECE_TURNS } from './turn-client.ts';
export type { OfferedTurn, TurnClient, TurnClientOptions, TurnListener, TurnSeat } from './turn-client.ts';
export { parseVouchers, toVoucherMessage } from './voucher-message.ts';
export type { VoucherBatchFacts, VoucherFacts } from './voucher-message.ts';
export type { TlsOptions, TlsSource } from './tls-options.ts';
