import type { PackageRules } from '../rule.ts';
import {
  DEFINED,
  DIGEST_IF_SET,
  HTTP_STATUS_IF_SET,
  IP,
  IP_IF_SET,
  ITEMS,
  LONG_PIECE_LENGTH_IF_SET,
  NON_EMPTY,
  NON_EMPTY_IF_SET,
  PORT_IF_SET,
  REQUESTED_TTL,
  REQUIRED,
  URI,
  URI_IF_SET,
} from './vocabulary.ts';

/** Rules of package dfdaemon.v2. */
export const DFDAEMON_RULES: PackageRules = {
  DeleteCacheTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  DeleteLocalTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  DeletePersistentCacheTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  DeletePersistentTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  DeleteTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  DownloadCachePieceRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
  },
  DownloadCachePieceResponse: {
    piece: REQUIRED,
    digest: DIGEST_IF_SET,
  },
  DownloadCacheTaskRequest: {
    url: URI,
    digest: DIGEST_IF_SET,
    type: DEFINED,
    priority: DEFINED,
    piece_length: LONG_PIECE_LENGTH_IF_SET,
    output_path: NON_EMPTY_IF_SET,
    remote_ip: IP_IF_SET,
  },
  DownloadCacheTaskResponse: {
    'oneof response': REQUIRED,
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  DownloadPersistentCacheTaskRequest: {
    task_id: NON_EMPTY,
    output_path: NON_EMPTY_IF_SET,
    remote_ip: IP_IF_SET,
  },
  DownloadPersistentCacheTaskResponse: {
    'oneof response': REQUIRED,
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  DownloadPersistentTaskRequest: {
    url: URI_IF_SET,
    output_path: NON_EMPTY_IF_SET,
    remote_ip: IP_IF_SET,
  },
  DownloadPersistentTaskResponse: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  DownloadPieceFinishedResponse: {
    piece: REQUIRED,
  },
  DownloadTaskRequest: {
    download: REQUIRED,
  },
  DownloadTaskResponse: {
    'oneof response': REQUIRED,
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  ExchangeIBVerbsQueuePairEndpointRequest: {
    endpoint: REQUIRED,
  },
  ExchangeIBVerbsQueuePairEndpointResponse: {
    endpoint: REQUIRED,
  },
  IBVerbsQueuePairEndpoint: {
    gid: { kind: 'bytes', length: 16 },
  },
  ListLocalPersistentCacheTasksRequest: {
    remote_ip: IP_IF_SET,
  },
  ListLocalPersistentTasksRequest: {
    remote_ip: IP_IF_SET,
  },
  ListLocalTasksRequest: {
    remote_ip: IP_IF_SET,
  },
  ListTaskEntriesRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  ListTaskEntriesResponse: {
    status_code: HTTP_STATUS_IF_SET,
  },
  StatCacheTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  StatLocalPersistentCacheTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  StatLocalPersistentCacheTaskResponse: {
    task_id: NON_EMPTY,
    piece_length: LONG_PIECE_LENGTH_IF_SET,
    created_at: REQUIRED,
    updated_at: REQUIRED,
  },
  StatLocalPersistentTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  StatLocalPersistentTaskResponse: {
    task_id: NON_EMPTY,
    piece_length: LONG_PIECE_LENGTH_IF_SET,
    created_at: REQUIRED,
    updated_at: REQUIRED,
  },
  StatLocalTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  StatLocalTaskResponse: {
    task_id: NON_EMPTY,
    piece_length: LONG_PIECE_LENGTH_IF_SET,
    created_at: REQUIRED,
    updated_at: REQUIRED,
  },
  StatPersistentCacheTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  StatPersistentTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  StatTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  SyncCachePiecesRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    interested_cache_piece_numbers: ITEMS,
  },
  SyncHostRequest: {
    host_id: NON_EMPTY,
    peer_id: NON_EMPTY,
  },
  SyncPersistentCachePiecesRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    interested_piece_numbers: ITEMS,
  },
  SyncPersistentCachePiecesResponse: {
    ip: IP,
    tcp_port: PORT_IF_SET,
    quic_port: PORT_IF_SET,
  },
  SyncPersistentPiecesRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    interested_piece_numbers: ITEMS,
  },
  SyncPersistentPiecesResponse: {
    ip: IP,
    tcp_port: PORT_IF_SET,
    quic_port: PORT_IF_SET,
  },
  SyncPiecesRequest: {
    host_id: NON_EMPTY,
    task_id: NON_EMPTY,
    interested_piece_numbers: ITEMS,
  },
  SyncPiecesResponse: {
    ip: IP,
    tcp_port: PORT_IF_SET,
    quic_port: PORT_IF_SET,
  },
  UpdatePersistentCacheTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  UpdatePersistentTaskRequest: {
    task_id: NON_EMPTY,
    remote_ip: IP_IF_SET,
  },
  UploadPersistentCacheTaskRequest: {
    path: NON_EMPTY,
    persistent_replica_count: { kind: 'number', atLeast: 1, atMost: 5 },
    piece_length: LONG_PIECE_LENGTH_IF_SET,
    ttl: REQUESTED_TTL,
    remote_ip: IP_IF_SET,
  },
  UploadPersistentTaskRequest: {
    url: URI,
    object_storage: REQUIRED,
    path: NON_EMPTY,
    ttl: REQUESTED_TTL,
    remote_ip: IP_IF_SET,
  },
};
