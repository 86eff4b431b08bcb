export { downloadOn, isHeldBy, listFiles, toDownload, withoutSignature } from './daemon-calls.ts';
export type { Connect, DownloadExtras, PreheatRole } from './daemon-calls.ts';
export { each } from './each.ts';
export { askWhoHolds } from './held-files.ts';
export type { HeldFile, NamedFile } from './held-files.ts';
export { ImageReader } from './image-reader.ts';
export type {
  ImageFile,
  ImageReaderOptions,
  Naming,
  PlatformChoice,
  PreheatOrigin,
  ResolvedImage,
  Standing,
} from './image-reader.ts';
export { isBareReference, manifestUrlOf } from './manifest-url.ts';
export { isNobody, PreheatRequestError, taskIdFor, taskIdsOf, toOriginAccess } from './request.ts';
export type { Credentials, OriginAccess, OriginTls, TaskIdentity } from './request.ts';
export { MAX_FETCHERS, spread } from './spread.ts';
export type { Spreading } from './spread.ts';
export { syncPeers } from './sync-peers.ts';
export type { PeerBook, SeenPeer, SyncPeersOptions } from './sync-peers.ts';
export { chooseTargets, inFetchOrder, NoTargetError, PREHEAT_SCOPES } from './targets.ts';
export type { PreheatHost, PreheatScope, TargetChoice } from './targets.ts';
