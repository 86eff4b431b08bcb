import type { Transport } from '@connectrpc/connect';
import type { JobWork, SchedulerAddress } from '@d7y/manager-db';
import { SwarmListing } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import { schedulersOf } from './cluster-hosts.ts';

/** For the tasks of one cluster; a job waits for them, and no person. */
const DEADLINE_MS = 60_000;

export interface SwarmListsOptions {
  readonly work: Pick<JobWork, 'schedulers'>;
  readonly connect: (address: SchedulerAddress) => Transport;
  readonly logger: Logger;
}

/** What the schedulers of a cluster know. It is asked for one cluster at a time. */
export const createSwarmLists = ({ work, connect, logger }: SwarmListsOptions): Pick<SwarmListing, 'tasks'> =>
  new SwarmListing({
    async schedulers(clusterId) {
      if (clusterId === undefined) throw new TypeError('of which cluster?');
      return (await schedulersOf(work, clusterId)).map((one) => ({ ...one, schedulerClusterId: clusterId }));
    },
    connect: (ip, port) => connect({ ip, port }),
    logger,
    deadlineMs: DEADLINE_MS,
  });
