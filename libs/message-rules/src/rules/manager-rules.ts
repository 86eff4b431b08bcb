import type { PackageRules } from '../rule.ts';
import {
  DEFINED,
  HOSTNAME,
  IP,
  IP_IF_SET,
  LABEL_IF_SET,
  NON_EMPTY,
  PORT,
  POSITIVE,
  REQUIRED,
  URI,
} from './vocabulary.ts';

/** Rules of package manager.v2. */
export const MANAGER_RULES: PackageRules = {
  Application: {
    id: POSITIVE,
    name: { kind: 'text', minLength: 1, maxLength: 1024 },
    url: URI,
    priority: REQUIRED,
  },
  DeleteSeedPeerRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    seed_peer_cluster_id: POSITIVE,
    ip: IP_IF_SET,
  },
  GetSchedulerRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    scheduler_cluster_id: POSITIVE,
    ip: IP_IF_SET,
  },
  GetSeedPeerRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    seed_peer_cluster_id: POSITIVE,
    ip: IP_IF_SET,
  },
  KeepAliveRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    cluster_id: POSITIVE,
    ip: IP_IF_SET,
  },
  ListApplicationsRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    ip: IP,
  },
  ListSchedulersRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    ip: IP,
    idc: LABEL_IF_SET,
    location: LABEL_IF_SET,
    version: LABEL_IF_SET,
    commit: LABEL_IF_SET,
  },
  ListSeedPeersRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    ip: IP,
    version: LABEL_IF_SET,
    commit: LABEL_IF_SET,
  },
  URLPriority: {
    regex: NON_EMPTY,
  },
  UpdateSchedulerRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    scheduler_cluster_id: POSITIVE,
    idc: LABEL_IF_SET,
    location: LABEL_IF_SET,
    ip: IP,
    port: PORT,
  },
  UpdateSeedPeerRequest: {
    source_type: DEFINED,
    hostname: HOSTNAME,
    type: { kind: 'text', oneOf: ['super'] },
    idc: LABEL_IF_SET,
    location: { kind: 'text', maxLength: 1024, orEmpty: true },
    ip: IP,
    port: PORT,
    download_port: PORT,
    seed_peer_cluster_id: POSITIVE,
  },
};
