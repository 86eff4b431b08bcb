import { TaskHistoryRepository } from '@d7y/manager-db';
import type { Call, Handlers } from '../call.ts';
import type { Services } from '../services.ts';
import { pageOf } from '../services.ts';
import { mergeTasks, toTaskOfHistory, toTaskPeer, toTransfer } from '../views/swarm.ts';

type SwarmRoute = Extract<keyof Handlers, `tasks.${string}` | `taskPeers.${string}` | `transfers.${string}`>;

/** Rows of the history that are looked through for one answer. */
const MAX_HISTORY = 10_000;

export function swarmHandlers({ database, listing }: Services): Handlers<SwarmRoute> {
  const history = new TaskHistoryRepository(database.db);

  /** One page of what was gathered. */
  const page = <T>(call: Call<SwarmRoute>, rows: readonly T[], incomplete: readonly string[]): T[] => {
    const { offset, limit } = pageOf(call.query);
    call.setTotal(rows.length);
    if (incomplete.length > 0) call.setHeader('x-incomplete', incomplete.join(', '));
    return rows.slice(offset, offset + limit);
  };

  return {
    async 'tasks.list'(call) {
      const { state, scheduler_cluster_id: clusterId, url, id: idPrefix } = call.query;
      const [told, known] = await Promise.all([
        listing.tasks({ clusterId, state, idPrefix }, call.signal),
        history.page({ schedulerClusterId: clusterId, state, url }, { offset: 0, limit: MAX_HISTORY }),
      ]);
      const live = mergeTasks(told.items).filter((task) => url === undefined || task.url === url);
      const liveIds = new Set(live.map(({ id, schedulerClusterId }) => `${schedulerClusterId} ${id}`));
      const past = known.rows.filter(
        ({ taskId, schedulerClusterId }) =>
          !liveIds.has(`${schedulerClusterId} ${taskId}`) && taskId.startsWith(idPrefix ?? ''),
      );
      return page(call, [...live, ...past.map(toTaskOfHistory)], told.incomplete);
    },
    async 'taskPeers.list'(call) {
      const { scheduler_cluster_id: clusterId, task_id: taskId, host_id: hostId, state } = call.query;
      const { items, incomplete } = await listing.peers({ clusterId, taskId, hostId, state }, call.signal);
      return page(call, items.map(toTaskPeer), incomplete);
    },
    async 'transfers.list'(call) {
      const { scheduler_cluster_id: clusterId, task_id: taskId, host_id: hostId } = call.query;
      const { items, incomplete } = await listing.transfers({ clusterId, taskId, hostId }, call.signal);
      return page(call, items.map(toTransfer), incomplete);
    },
  };
}
