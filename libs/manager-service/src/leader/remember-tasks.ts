import type { TaskHistoryRepository } from '@d7y/manager-db';
import type { SwarmListing } from '@d7y/peer-protocol';
import { mergeTasks, toTaskToRemember } from '../rest/views/swarm.ts';
import type { LeaderTask } from './leadership.ts';

export interface RememberTasksContext {
  readonly listing: Pick<SwarmListing, 'tasks'>;
  readonly history: Pick<TaskHistoryRepository, 'recordSeen'>;
  readonly intervalMs: number;
  /** Epoch milliseconds. */
  readonly clock: () => number;
}

/** Writes down now and then which tasks the schedulers know, so that they can be told of when no scheduler knows them any more. */
export function rememberTasksTask({ listing, history, intervalMs, clock }: RememberTasksContext): LeaderTask {
  return {
    name: 'remember-tasks',
    intervalMs,
    async run({ signal }) {
      const now = new Date(clock());
      // Who did not answer tells of his tasks the next time.
      const { items } = await listing.tasks({}, signal);
      await history.recordSeen(mergeTasks(items).flatMap(toTaskToRemember), now);
    },
  };
}
