import { z } from 'zod';
import {
  peerClusterConfig,
  schedulerClusterConfig,
  scopes,
  seedPeerClusterConfig,
  storedConfig,
} from './cluster-config.ts';
import {
  activity,
  bio,
  hostName,
  id,
  ip,
  line,
  name,
  paging,
  place,
  port,
  stored,
  textId,
  textPort,
  timestamp,
} from './fields.ts';

const schedulerClusterFields = {
  ...stored,
  name: z.string(),
  bio: z.string(),
  config: storedConfig,
  client_config: storedConfig,
  seed_client_config: storedConfig,
  scopes: storedConfig,
  is_default: z.boolean(),
};

const schedulerFields = {
  ...stored,
  config: storedConfig.nullable(),
  host_name: z.string(),
  idc: z.string(),
  location: z.string(),
  ip: z.string(),
  port: z.int(),
  state: activity,
  features: z.array(z.string()),
  last_keep_alive_at: timestamp,
  scheduler_cluster_id: id,
};

/** Relations are null where they are not part of an answer. */
export const schedulerClusterRelations = {
  seed_peer_clusters: z.null(),
  schedulers: z.null(),
  peers: z.null(),
  jobs: z.null(),
};

export const bareSchedulerCluster = z
  .object({ ...schedulerClusterFields, ...schedulerClusterRelations })
  .meta({ id: 'BareSchedulerCluster' });

export const scheduler = z
  .object({ ...schedulerFields, scheduler_cluster: bareSchedulerCluster })
  .meta({ id: 'Scheduler' });

const bareScheduler = z.object({ ...schedulerFields, scheduler_cluster: z.null() }).meta({ id: 'BareScheduler' });

export const schedulerCluster = z
  .object({
    ...schedulerClusterFields,
    seed_peer_clusters: z
      .array(z.object({ ...stored, name: z.string(), bio: z.string(), config: storedConfig }))
      .nullable(),
    schedulers: z.array(bareScheduler).nullable(),
    peers: z.null(),
    jobs: z.null(),
  })
  .meta({ id: 'SchedulerCluster' });

export const createSchedulerCluster = z.strictObject({
  name,
  bio: bio.optional(),
  config: schedulerClusterConfig,
  client_config: peerClusterConfig,
  seed_client_config: seedPeerClusterConfig,
  scopes: scopes.nullish(),
  is_default: z.boolean().optional(),
  seed_peer_cluster_id: id.optional(),
});
export const updateSchedulerCluster = createSchedulerCluster.partial();
export const schedulerClusterQuery = z.strictObject({ name: line(256).optional(), ...paging });
export const attachSchedulerParams = z.strictObject({ id: textId, scheduler_id: textId });

export const SCHEDULER_FEATURES = ['schedule', 'preheat'] as const;
export const schedulerFeatures = z.array(z.enum(SCHEDULER_FEATURES));

const schedulerConfig = z.strictObject({
  /** Nanoseconds. */
  manager_keep_alive_interval: z.int().min(1).optional(),
});

export const createScheduler = z.strictObject({
  host_name: hostName,
  ip,
  port,
  scheduler_cluster_id: id,
  idc: place.optional(),
  location: place.optional(),
  features: schedulerFeatures.optional(),
  config: schedulerConfig.nullish(),
});
export const updateScheduler = createScheduler.omit({ host_name: true }).partial();
export const schedulerQuery = z.strictObject({
  host_name: line(253).optional(),
  idc: place.optional(),
  location: place.optional(),
  ip: ip.optional(),
  port: textPort.optional(),
  state: activity.optional(),
  scheduler_cluster_id: textId.optional(),
  ...paging,
});
