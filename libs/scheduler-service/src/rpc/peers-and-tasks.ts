import type { ServiceImpl } from '@connectrpc/connect';
import type { scheduler } from '@d7y/api';
import type { Access } from '../access/access.ts';
import { HostNotFoundError, PeerNotFoundError, TaskNotFoundError } from '../errors.ts';
import type { MessageWriter } from '../messages/message-writer.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';

/** What is known of peers and tasks, and how they are forgotten. */
export const peersAndTasks = ({
  driver,
  writer,
  metrics,
  access,
}: {
  driver: SwarmDriver;
  writer: MessageWriter;
  metrics: SchedulerMetrics;
  access: Access;
}): Pick<ServiceImpl<typeof scheduler.Scheduler>, 'statPeer' | 'deletePeer' | 'statTask' | 'deleteTask'> => ({
  statPeer({ peerId }, context) {
    metrics.statPeer.attempt();
    access.checkKnown(context, driver.swarm);
    const peer = driver.swarm.peer(peerId);
    if (peer !== undefined) return writer.peer(peer);
    metrics.statPeer.failure();
    throw new PeerNotFoundError(peerId);
  },

  /** Unknown peers are fine: they are gone already. */
  deletePeer({ hostId, peerId }, context) {
    metrics.leavePeer.attempt();
    access.checkHost(context, driver.swarm.peer(peerId)?.host.id ?? hostId);
    driver.tell((swarm, nowMs) => swarm.deletePeer(peerId, nowMs));
    return {};
  },

  statTask({ taskId }, context) {
    metrics.statTask.attempt();
    access.checkKnown(context, driver.swarm);
    const task = driver.swarm.task(taskId);
    if (task !== undefined) return writer.task(task);
    metrics.statTask.failure();
    throw new TaskNotFoundError(taskId);
  },

  deleteTask({ hostId, taskId }, context) {
    metrics.leaveTask.attempt();
    access.checkHost(context, hostId);
    if (driver.swarm.host(hostId) === undefined) {
      metrics.leaveTask.failure();
      throw new HostNotFoundError(hostId);
    }
    driver.tell((swarm, nowMs) => swarm.deleteTask(hostId, taskId, nowMs));
    return {};
  },
});
