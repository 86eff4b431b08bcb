import type { JobMessage, JobType, LayerMessage } from './messages.ts';

/** Preheats, each the parent of its layers. */
const JOBS = 'jobs';
/** Everything else: short, and not held up by preheats. */
const MAINTENANCE = 'maintenance';
export const JOB_QUEUES = [JOBS, MAINTENANCE] as const;
export type JobQueueName = (typeof JOB_QUEUES)[number];

export const jobQueueOf = (type: JobType): JobQueueName => (type === 'preheat' ? JOBS : MAINTENANCE);

/** Layers of one cluster: clusters do not wait for each other. */
export const layerQueueOf = (clusterId: number): string => `preheat-c${clusterId}`;

/** Ids in the queue: not all digits and without colons, which BullMQ keeps for itself. The same work has the same id. */
export const queuedJobId = ({ jobId, attempt }: Pick<JobMessage, 'jobId' | 'attempt'>): string =>
  `job-${jobId}-a${attempt}`;

export function queuedLayerId({ jobId, attempt, clusterId, taskId, round }: LayerMessage): string {
  return `job-${jobId}-a${attempt}-c${clusterId}-${taskId.replace(/[^0-9A-Za-z]/g, '_')}-r${round}`;
}
