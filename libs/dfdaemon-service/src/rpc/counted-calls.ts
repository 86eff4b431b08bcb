import type { Interceptor } from '@connectrpc/connect';
import type { CountedCall, DaemonMetrics } from '../observe/daemon-metrics.ts';

/** Methods of both services that are counted by name, whichever family of tasks they concern. */
const CALLS: Readonly<Record<string, CountedCall>> = {
  UpdatePersistentTask: 'update_task',
  UpdatePersistentCacheTask: 'update_task',
  StatTask: 'stat_task',
  StatLocalTask: 'stat_local_task',
  ListLocalTasks: 'list_local_tasks',
  ListTaskEntries: 'list_task_entries',
  DeleteTask: 'delete_task',
  DeleteLocalTask: 'delete_local_task',
  DeleteHost: 'delete_host',
};

/** Counts the calls for which dashboards have a name. */
export function countedCalls(metrics: DaemonMetrics): Interceptor {
  return (next) => async (request) => {
    const call = CALLS[request.method.name];
    if (call === undefined) return next(request);
    try {
      const answer = await next(request);
      metrics.callEnded(call, false);
      return answer;
    } catch (error) {
      metrics.callEnded(call, true);
      throw error;
    }
  };
}
