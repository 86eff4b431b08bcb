import { z } from 'zod';
import { bio, id, paging, stored, textId } from './fields.ts';
import { gcArgs, imageDistributionArgs, listTasksArgs, noArgs, preheatArgs, taskArgs } from './job-args.ts';
import { bareSchedulerCluster } from './scheduler-clusters.ts';
import { bareSeedPeerCluster } from './seed-peer-clusters.ts';
import { user } from './users.ts';

const jobFields = {
  bio: bio.nullish(),
  user_id: z.int().min(0).nullish(),
  /** None means all clusters. */
  scheduler_cluster_ids: z.array(id).max(1_000).nullish(),
  seed_peer_cluster_ids: z.array(id).max(1_000).nullish(),
};

/** A job to be done; what its arguments are depends on its type. */
export const createJob = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('preheat'), ...jobFields, args: preheatArgs }),
  z.strictObject({ type: z.literal('get_task'), ...jobFields, args: taskArgs }),
  z.strictObject({ type: z.literal('list_tasks'), ...jobFields, args: listTasksArgs.nullish() }),
  z.strictObject({ type: z.literal('delete_task'), ...jobFields, args: taskArgs }),
  z.strictObject({ type: z.literal('get_image_distribution'), ...jobFields, args: imageDistributionArgs }),
  z.strictObject({ type: z.literal('sync_peers'), ...jobFields, args: noArgs.nullish() }),
  z.strictObject({ type: z.literal('gc'), ...jobFields, args: gcArgs }),
]);

export const JOB_TYPES = createJob.options.map((option) => option.shape.type.value);

/** What clients wait for: they take any other state for a failure. */
export const jobState = z.enum(['PENDING', 'SUCCESS', 'FAILURE']);
/** The states of the published manager, which a filter may name. */
const jobStateFilter = z.enum(['PENDING', 'RECEIVED', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE']);

export const job = z
  .object({
    ...stored,
    /** Id of the group of tasks: `group_<uuid>`. */
    task_id: z.string(),
    bio: z.string(),
    type: z.string(),
    state: jobState,
    /** Where it is on its way; also CANCELLED. */
    phase: z.string(),
    /** As asked for, without credentials. */
    args: z.record(z.string(), z.unknown()),
    /** Null until there is something to tell. */
    result: z.record(z.string(), z.unknown()).nullable(),
    /** Counts while it runs. */
    progress: z.record(z.string(), z.unknown()).nullable(),
    /** Why it failed. */
    error: z.string().nullable(),
    user_id: z.int().min(0),
    user: user.nullable(),
    seed_peer_clusters: z.array(bareSeedPeerCluster),
    scheduler_clusters: z.array(bareSchedulerCluster),
  })
  .meta({ id: 'Job' });

export const updateJob = z.strictObject({ bio: bio.optional(), user_id: id.optional() });

export const jobQuery = z.strictObject({
  type: z.enum(JOB_TYPES).optional(),
  state: jobStateFilter.optional(),
  user_id: textId.optional(),
  ...paging,
});

/** One more try at what failed: the job begins anew where it failed, not where it succeeded. */
export const jobHeaders = z.looseObject({ 'idempotency-key': z.string().min(1).max(256).optional() });

export type CreateJob = z.output<typeof createJob>;
export type JobType = CreateJob['type'];
