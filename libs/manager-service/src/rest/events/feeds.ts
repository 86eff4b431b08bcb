import type { AnswerOf, EventTopic, WatchedJob } from '@d7y/manager-api';
import type { JobRepository } from '@d7y/manager-db';
import type { SwarmListing, Telling, Told } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import { toWatchedJob } from '../views/jobs.ts';
import { mergeTaskPeers, mergeTasks } from '../views/swarm.ts';
import type { EventIds } from './event-text.ts';
import type { FeedListener, Reading } from './feed.ts';
import { Feed } from './feed.ts';

export interface FeedsOptions {
  readonly jobs: Pick<JobRepository, 'watched'>;
  readonly listing: Pick<SwarmListing, 'tasks' | 'peers'>;
  readonly ids: EventIds;
  readonly logger: Logger;
  readonly jobsIntervalMs: number;
  readonly swarmIntervalMs: number;
}

/** What can be listened to. */
export type Feeds = { readonly [Topic in EventTopic]: { listen(listener: FeedListener): Disposable } };

/** Jobs that are shown: the newest, those that are pending, and those whose end people have seen. */
const NEWEST_JOBS = 200;
const PENDING_JOBS = 300;
const MAX_JOBS = 500;

/**
 * Jobs come from the database, where every manager sees what all managers and workers have written; tasks and peers from the schedulers of
 * all clusters.
 */
export function createFeeds({ jobs, listing, ids, logger, jobsIntervalMs, swarmIntervalMs }: FeedsOptions): Feeds {
  return {
    jobs: new Feed<WatchedJob>({
      ...{ topic: 'jobs', ids, logger, intervalMs: jobsIntervalMs, limits: { maxItems: MAX_JOBS } },
      keyOf: ({ id }) => ({ id }),
      async read(shown) {
        const which = { newest: NEWEST_JOBS, pending: PENDING_JOBS, ids: shown.map(({ id }) => id) };
        const rows = await jobs.watched(which);
        return { items: rows.map(toWatchedJob).sort(pendingThenNewest), incomplete: [], mayBeMissing: () => false };
      },
    }),
    tasks: new Feed<AnswerOf<'tasks.list'>[number]>({
      ...{ topic: 'tasks', ids, logger, intervalMs: swarmIntervalMs, keyOf: keyInCluster },
      read: async (_shown, signal) => readingOf(await listing.tasks({}, signal), mergeTasks),
    }),
    peers: new Feed<AnswerOf<'taskPeers.list'>[number]>({
      ...{ topic: 'peers', ids, logger, intervalMs: swarmIntervalMs, keyOf: keyInCluster },
      read: async (_shown, signal) => readingOf(await listing.peers({}, signal), mergeTaskPeers),
    }),
  };
}

interface OfCluster {
  readonly schedulerClusterId: number;
  readonly id: string;
}

const keyInCluster = ({ schedulerClusterId, id }: OfCluster): OfCluster => ({ schedulerClusterId, id });

const pendingThenNewest = (left: WatchedJob, right: WatchedJob): number =>
  Number(right.state === 'PENDING') - Number(left.state === 'PENDING') || right.id - left.id;

const readingOf = <T, Item extends OfCluster>(
  { items, incomplete, incompleteClusters }: Telling<T>,
  merge: (told: readonly Told<T>[]) => readonly Item[],
): Reading<Item> => ({
  items: merge(items),
  incomplete,
  mayBeMissing: ({ schedulerClusterId }) => incompleteClusters.has(schedulerClusterId),
});
