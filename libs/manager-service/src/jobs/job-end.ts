import type { JobEnd } from '@d7y/manager-db';
import { toJobResult } from '@d7y/preheat-queue';

/** How a job ends, with a result for who reads results where no worker has written one. */
export function endOf(end: Omit<JobEnd, 'result'>): JobEnd {
  const { state, error, now } = end;
  return {
    ...end,
    result: ({ groupId, type, createdAt, clusterIds }) =>
      toJobResult({
        ...{ groupId, type, state, createdAt, updatedAt: now, error },
        clusters: clusterIds.map((schedulerClusterId) => ({ schedulerClusterId, state, error, details: {} })),
      }),
  };
}
