import { z } from 'zod';
import { seedPeerClusterConfig, storedConfig } from './cluster-config.ts';
import {
  activity,
  bio,
  hostName,
  id,
  ip,
  line,
  name,
  optionalPort,
  paging,
  place,
  port,
  stored,
  textId,
  textPort,
} from './fields.ts';
import { bareSchedulerCluster } from './scheduler-clusters.ts';

const seedPeerClusterFields = { ...stored, name: z.string(), bio: z.string(), config: storedConfig };

const seedPeerFields = {
  ...stored,
  host_name: z.string(),
  type: z.string(),
  idc: z.string(),
  location: z.string(),
  ip: z.string(),
  port: z.int(),
  download_port: z.int(),
  object_storage_port: z.int(),
  state: activity,
  seed_peer_cluster_id: id,
};

/** Relations are null where they are not part of an answer; the list of seed peers is called in the singular. */
export const bareSeedPeerCluster = z
  .object({ ...seedPeerClusterFields, scheduler_clusters: z.null(), seed_peer: z.null(), jobs: z.null() })
  .meta({ id: 'BareSeedPeerCluster' });

export const seedPeer = z
  .object({ ...seedPeerFields, seed_peer_cluster: bareSeedPeerCluster })
  .meta({ id: 'SeedPeer' });

export const seedPeerCluster = z
  .object({
    ...seedPeerClusterFields,
    scheduler_clusters: z.array(bareSchedulerCluster).nullable(),
    seed_peer: z.array(z.object({ ...seedPeerFields, seed_peer_cluster: z.null() })).nullable(),
    jobs: z.null(),
  })
  .meta({ id: 'SeedPeerCluster' });

export const createSeedPeerCluster = z.strictObject({ name, bio: bio.optional(), config: seedPeerClusterConfig });
export const updateSeedPeerCluster = createSeedPeerCluster.partial();
export const seedPeerClusterQuery = z.strictObject({ name: line(256).optional(), ...paging });
export const attachSeedPeerParams = z.strictObject({ id: textId, seed_peer_id: textId });
export const linkSchedulerClusterParams = z.strictObject({ id: textId, scheduler_cluster_id: textId });

export const createSeedPeer = z.strictObject({
  host_name: hostName,
  type: z.literal('super'),
  ip,
  port,
  download_port: port,
  seed_peer_cluster_id: id,
  idc: place.optional(),
  location: place.optional(),
  object_storage_port: optionalPort.optional(),
});
export const updateSeedPeer = createSeedPeer.omit({ host_name: true }).partial();
export const seedPeerQuery = z.strictObject({
  host_name: line(253).optional(),
  type: z.literal('super').optional(),
  idc: place.optional(),
  location: place.optional(),
  ip: ip.optional(),
  port: textPort.optional(),
  download_port: textPort.optional(),
  object_storage_port: textPort.optional(),
  state: activity.optional(),
  seed_peer_cluster_id: textId.optional(),
  ...paging,
});
