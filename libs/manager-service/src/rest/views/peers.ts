import type { AnswerOf } from '@d7y/manager-api';
import type { schema } from '@d7y/manager-db';
import type { SchedulerClusterRow } from './clusters.ts';
import { toBareSchedulerCluster } from './clusters.ts';
import { storedFields } from './stored.ts';

type PeerRow = typeof schema.peers.$inferSelect;

export const toPeer = (row: PeerRow, cluster: SchedulerClusterRow): AnswerOf<'peers.get'> => ({
  ...storedFields(row),
  host_name: row.hostName,
  type: row.type,
  idc: row.idc,
  location: row.location,
  ip: row.ip,
  port: row.port,
  download_port: row.downloadPort,
  proxy_port: row.proxyPort,
  object_storage_port: row.objectStoragePort,
  state: row.state,
  os: row.os,
  platform: row.platform,
  platform_family: row.platformFamily,
  platform_version: row.platformVersion,
  kernel_version: row.kernelVersion,
  git_version: row.gitVersion,
  git_commit: row.gitCommit,
  build_platform: row.buildPlatform,
  scheduler_cluster_id: row.schedulerClusterId,
  scheduler_cluster: toBareSchedulerCluster(cluster),
});
