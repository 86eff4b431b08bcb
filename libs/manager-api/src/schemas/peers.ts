import { z } from 'zod';
import {
  activity,
  hostName,
  id,
  ip,
  line,
  optionalPort,
  paging,
  place,
  port,
  stored,
  textId,
  textPort,
} from './fields.ts';
import { bareSchedulerCluster } from './scheduler-clusters.ts';

const peerKind = z.enum(['super', 'normal']);
const fact = line(256);

/** A host of a cluster, as its schedulers last told. */
export const peer = z
  .object({
    ...stored,
    host_name: z.string(),
    type: z.string(),
    idc: z.string(),
    location: z.string(),
    ip: z.string(),
    port: z.int(),
    download_port: z.int(),
    proxy_port: z.int(),
    object_storage_port: z.int(),
    state: activity,
    os: z.string(),
    platform: z.string(),
    platform_family: z.string(),
    platform_version: z.string(),
    kernel_version: z.string(),
    git_version: z.string(),
    git_commit: z.string(),
    build_platform: z.string(),
    scheduler_cluster_id: id,
    scheduler_cluster: bareSchedulerCluster,
  })
  .meta({ id: 'Peer' });

export const createPeer = z.strictObject({
  host_name: hostName,
  type: peerKind,
  ip,
  port,
  download_port: port,
  proxy_port: optionalPort,
  scheduler_cluster_id: id,
  idc: place.optional(),
  location: place.optional(),
  object_storage_port: optionalPort.optional(),
  state: activity.optional(),
  os: fact.optional(),
  platform: fact.optional(),
  platform_family: fact.optional(),
  platform_version: fact.optional(),
  kernel_version: fact.optional(),
  git_version: fact.optional(),
  git_commit: fact.optional(),
  build_platform: fact.optional(),
});

export const peerQuery = z.strictObject({
  host_name: line(253).optional(),
  type: peerKind.optional(),
  idc: place.optional(),
  location: place.optional(),
  ip: ip.optional(),
  port: textPort.optional(),
  download_port: textPort.optional(),
  proxy_port: textPort.optional(),
  object_storage_port: textPort.optional(),
  state: activity.optional(),
  os: fact.optional(),
  platform: fact.optional(),
  platform_family: fact.optional(),
  platform_version: fact.optional(),
  kernel_version: fact.optional(),
  git_version: fact.optional(),
  git_commit: fact.optional(),
  build_platform: fact.optional(),
  scheduler_cluster_id: textId.optional(),
  ...paging,
});
