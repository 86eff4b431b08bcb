import { z } from 'zod';
import {
  peerClusterConfig,
  schedulerClusterConfig,
  scopes,
  seedPeerClusterConfig,
  storedConfig,
} from './cluster-config.ts';
import { bio, hostName, id, ip, line, name, paging, place, timestamp } from './fields.ts';

/** One cluster of schedulers and the cluster of seed peers that belongs to it. */
export const cluster = z
  .object({
    /** That of the scheduler cluster. */
    id,
    name: z.string(),
    bio: z.string(),
    scopes: storedConfig,
    scheduler_cluster_id: id,
    seed_peer_cluster_id: z.int().min(0),
    scheduler_cluster_config: storedConfig,
    seed_peer_cluster_config: storedConfig,
    peer_cluster_config: storedConfig,
    created_at: timestamp,
    updated_at: timestamp,
    is_default: z.boolean(),
  })
  .meta({ id: 'Cluster' });

export const createCluster = z.strictObject({
  name,
  bio: bio.optional(),
  is_default: z.boolean().optional(),
  scopes: scopes.nullish(),
  scheduler_cluster_config: schedulerClusterConfig,
  seed_peer_cluster_config: seedPeerClusterConfig,
  peer_cluster_config: peerClusterConfig,
});

/** What is absent stays as it is. */
export const updateCluster = createCluster.partial();

export const clusterQuery = z.strictObject({ name: line(256).optional(), ...paging });

export const matchQuery = z.strictObject({
  ip: ip.optional(),
  hostname: hostName.optional(),
  idc: place.optional(),
  location: place.optional(),
});

/** Which clusters a daemon belongs to, best first, and why. */
export const clusterMatches = z.array(
  z
    .object({
      id,
      name: z.string(),
      is_default: z.boolean(),
      active_schedulers: z.int(),
      score: z.number(),
      /** Each from 0 to 1, before its weight. */
      affinities: z.object({
        cidr: z.number(),
        hostname: z.number(),
        idc: z.number(),
        location: z.number(),
        default: z.number(),
      }),
    })
    .meta({ id: 'ClusterMatch' }),
);
