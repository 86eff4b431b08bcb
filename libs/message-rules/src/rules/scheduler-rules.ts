import type { PackageRules } from '../rule.ts';
import {
  DEFINED,
  DIGEST_IF_SET,
  IP,
  IP_IF_SET,
  ITEMS,
  LONG_PIECE_LENGTH,
  NON_EMPTY,
  NON_EMPTY_IF_SET,
  PIECE_LENGTH_IF_SET,
  POSITIVE,
  PREHEAT_SCOPE,
  REQUIRED,
  SCHEDULED_TTL,
  URI,
  upTo,
} from './vocabulary.ts';

/** Rules of package scheduler.v2. */
export const SCHEDULER_RULES: PackageRules = {
  AnnounceCachePeerRequest: {
    'oneof request': REQUIRED,
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  AnnounceCachePeerResponse: {
    'oneof response': REQUIRED,
  },
  AnnounceHostRequest: {
    host: REQUIRED,
  },
  AnnouncePeerRequest: {
    'oneof request': REQUIRED,
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  AnnouncePeerResponse: {
    'oneof response': REQUIRED,
  },
  AnnouncePersistentCachePeerRequest: {
    'oneof request': REQUIRED,
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  AnnouncePersistentCachePeerResponse: {
    'oneof response': REQUIRED,
  },
  AnnouncePersistentPeerRequest: {
    'oneof request': REQUIRED,
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  AnnouncePersistentPeerResponse: {
    'oneof response': REQUIRED,
  },
  DeleteCachePeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  DeleteCacheTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  DeleteHostRequest: {
    host_id: NON_EMPTY,
  },
  DeletePeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  DeletePersistentCachePeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  DeletePersistentCacheTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  DeletePersistentPeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  DeletePersistentTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  DeleteTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  DownloadCachePeerBackToSourceFailedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadCachePeerBackToSourceStartedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadCachePeerFailedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPeerBackToSourceFailedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPeerBackToSourceStartedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPeerFailedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPersistentCachePeerFailedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPersistentPeerBackToSourceFailedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPersistentPeerBackToSourceStartedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPersistentPeerFailedRequest: {
    description: NON_EMPTY_IF_SET,
  },
  DownloadPieceBackToSourceFailedRequest: {
    'oneof response': REQUIRED,
  },
  DownloadPieceBackToSourceFinishedRequest: {
    piece: REQUIRED,
  },
  DownloadPieceFailedRequest: {
    parent_id: NON_EMPTY,
  },
  DownloadPieceFinishedRequest: {
    piece: REQUIRED,
  },
  File: {
    url: URI,
  },
  Layer: {
    url: URI,
  },
  NeedBackToSourceResponse: {
    description: NON_EMPTY_IF_SET,
  },
  NormalCacheTaskResponse: {
    candidate_parents: ITEMS,
  },
  NormalPersistentCacheTaskResponse: {
    candidate_parents: ITEMS,
  },
  NormalPersistentTaskResponse: {
    candidate_parents: ITEMS,
  },
  NormalTaskResponse: {
    candidate_parents: ITEMS,
  },
  PeerImage: {
    ip: IP,
    hostname: NON_EMPTY,
  },
  PreheatFileRequest: {
    url: URI,
    piece_length: PIECE_LENGTH_IF_SET,
    scope: PREHEAT_SCOPE,
    percentage: upTo(100),
    count: upTo(200),
    concurrent_task_count: upTo(100),
    concurrent_peer_count: upTo(1000),
    priority: DEFINED,
    output_path: NON_EMPTY_IF_SET,
  },
  PreheatImageRequest: {
    url: URI,
    piece_length: PIECE_LENGTH_IF_SET,
    scope: PREHEAT_SCOPE,
    percentage: upTo(100),
    count: upTo(200),
    concurrent_task_count: upTo(100),
    concurrent_peer_count: upTo(1000),
    priority: DEFINED,
  },
  RegisterCachePeerRequest: {
    url: URI,
    digest: DIGEST_IF_SET,
    type: DEFINED,
    priority: DEFINED,
    piece_length: PIECE_LENGTH_IF_SET,
    output_path: NON_EMPTY_IF_SET,
    remote_ip: IP_IF_SET,
  },
  RegisterPeerRequest: {
    download: REQUIRED,
  },
  RegisterPersistentCachePeerRequest: {
    piece_length: LONG_PIECE_LENGTH,
    output_path: NON_EMPTY_IF_SET,
  },
  RegisterPersistentPeerRequest: {
    url: URI,
    object_storage: REQUIRED,
    output_path: NON_EMPTY_IF_SET,
  },
  RescheduleCachePeerRequest: {
    description: NON_EMPTY_IF_SET,
  },
  ReschedulePeerRequest: {
    description: NON_EMPTY_IF_SET,
  },
  ReschedulePersistentCachePeerRequest: {
    description: NON_EMPTY_IF_SET,
  },
  ReschedulePersistentPeerRequest: {
    description: NON_EMPTY_IF_SET,
  },
  StatCachePeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  StatCacheTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  StatFileRequest: {
    url: URI,
    piece_length: PIECE_LENGTH_IF_SET,
    concurrent_peer_count: upTo(1000),
  },
  StatImageRequest: {
    url: URI,
    piece_length: PIECE_LENGTH_IF_SET,
    concurrent_layer_count: upTo(100),
    concurrent_peer_count: upTo(1000),
  },
  StatPeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  StatPersistentCachePeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  StatPersistentCacheTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  StatPersistentPeerRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  StatPersistentTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  StatTaskRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  UploadPersistentCacheTaskFailedRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
    description: NON_EMPTY_IF_SET,
  },
  UploadPersistentCacheTaskFinishedRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  UploadPersistentCacheTaskStartedRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
    persistent_replica_count: POSITIVE,
    piece_length: LONG_PIECE_LENGTH,
    ttl: SCHEDULED_TTL,
  },
  UploadPersistentTaskFailedRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
    description: NON_EMPTY_IF_SET,
  },
  UploadPersistentTaskFinishedRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  UploadPersistentTaskStartedRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
    url: URI,
    object_storage: REQUIRED,
    persistent_replica_count: POSITIVE,
    ttl: SCHEDULED_TTL,
  },
};
