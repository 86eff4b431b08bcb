import type { ManagedApplication, ManagedScheduler } from '@d7y/peer-protocol';
import { z } from 'zod';

/** More than this is no cluster's configuration. */
const MAX_APPLICATIONS = 10_000;
const MAX_URLS = 1_000;

const priority = z.int().min(0).max(6);

/** What a cluster wants of its scheduler; what is not said is left to the scheduler's own configuration. */
export const clusterSettingsSchema = z.object({
  candidateParentLimit: z.int().min(1).max(20).optional(),
  filterParentLimit: z.int().min(10).max(1000).optional(),
  /** Children that a host, or a seed, feeds at once. */
  loadLimit: z.int().min(1).max(2_000).optional(),
  seedLoadLimit: z.int().min(1).max(50_000).optional(),
  applications: z
    .array(
      z.object({
        name: z.string(),
        priority,
        urls: z.array(z.object({ regex: z.string().max(4096), priority })).max(MAX_URLS),
      }),
    )
    .max(MAX_APPLICATIONS),
});

export type ClusterSettings = z.output<typeof clusterSettingsSchema>;

export const NO_SETTINGS: ClusterSettings = { applications: [] };

const clusterConfig = z.looseObject({
  candidate_parent_limit: z.unknown().optional(),
  filter_parent_limit: z.unknown().optional(),
});
const loadConfig = z.looseObject({ load_limit: z.unknown().optional() });

/**
 * Reads a manager's answer.
 * @throws what does not have the form of settings: the whole answer counts for nothing then, and the last good one stands
 */
export function settingsOf(scheduler: ManagedScheduler, applications: readonly ManagedApplication[]): ClusterSettings {
  const cluster = clusterConfig.parse(parsed(scheduler.clusterConfig));
  // 0 and null mean that nobody has said anything.
  const said = (value: unknown): unknown => value || undefined;
  return clusterSettingsSchema.parse({
    candidateParentLimit: said(cluster.candidate_parent_limit),
    filterParentLimit: said(cluster.filter_parent_limit),
    loadLimit: said(loadConfig.parse(parsed(scheduler.clientConfig)).load_limit),
    seedLoadLimit: said(loadConfig.parse(parsed(scheduler.seedPeerClusterConfig)).load_limit),
    applications,
  });
}

const parsed = (text: string): unknown => (text === '' ? {} : (JSON.parse(text) ?? {}));
