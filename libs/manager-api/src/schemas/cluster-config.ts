import { z } from 'zod';
import { line } from './fields.ts';

/** Entries in one list of a configuration. */
const MAX_ENTRIES = 1_000;

const entries = z.array(line(1_024).min(1)).max(MAX_ENTRIES);
/** Regular expressions in the syntax of RE2. */
const patterns = entries;

const downloadBlockList = z.strictObject({
  applications: entries.nullish(),
  urls: patterns.nullish(),
  tags: entries.nullish(),
  priorities: z.array(z.int().min(0).max(20)).max(MAX_ENTRIES).nullish(),
});
const uploadBlockList = downloadBlockList.omit({ priorities: true });

/** What hosts of a cluster may not download or give on, by kind of task. */
export const blockList = z.strictObject({
  task: z.strictObject({ download: downloadBlockList.nullish() }).nullish(),
  persistent_task: z
    .strictObject({ download: downloadBlockList.nullish(), upload: uploadBlockList.nullish() })
    .nullish(),
  persistent_cache_task: z
    .strictObject({ download: downloadBlockList.nullish(), upload: uploadBlockList.nullish() })
    .nullish(),
});

export const schedulerClusterConfig = z.strictObject({
  candidate_parent_limit: z.int().min(1).max(20).optional(),
  filter_parent_limit: z.int().min(10).max(1_000).optional(),
  /** Jobs per second. */
  job_rate_limit: z.int().min(1).max(1_000_000).optional(),
});

/** Of ordinary peers. */
export const peerClusterConfig = z.strictObject({
  load_limit: z.int().min(1).max(2_000).optional(),
  block_list: blockList.nullish(),
});

/** Of seed peers. */
export const seedPeerClusterConfig = z.strictObject({
  load_limit: z.int().min(1).max(50_000).optional(),
  block_list: blockList.nullish(),
});

const CIDR = z.union([z.cidrv4(), z.cidrv6()]);

/** Which daemons belong to a cluster. */
export const scopes = z.strictObject({
  idc: line(1_024).nullish(),
  location: line(1_024).nullish(),
  cidrs: z.array(CIDR).max(MAX_ENTRIES).nullish(),
  hostnames: patterns.nullish(),
});

/** What is stored may be older than these rules: answers show it as it is. */
export const storedConfig = z.record(z.string(), z.unknown());
