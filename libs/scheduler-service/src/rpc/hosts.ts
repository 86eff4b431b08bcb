import type { ServiceImpl } from '@connectrpc/connect';
import { scheduler } from '@d7y/api';
import type { Logger } from '@d7y/service-kit';
import { encodedAnswer, grpcFrame } from '@d7y/service-kit';
import type { HostView } from '@d7y/swarm';
import type { Access } from '../access/access.ts';
import type { Admission } from './admission.ts';
import { HostNotFoundError, SchedulerOverloadedError } from '../errors.ts';
import { toHostFacts } from '../messages/host-facts.ts';
import type { MessageWriter } from '../messages/message-writer.ts';
import type { Records } from '../messages/records.ts';
import { announcementLabels } from '../metrics.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';

/** More than a scheduler is meant for; bounds one answer. */
const MAX_LISTED_HOSTS = 100_000;

const DONE = grpcFrame(new Uint8Array());

/** Hosts come, stay, and leave. Announcements come from all of them every few minutes, and all at once when the scheduler has started again. */
export const hosts = ({
  driver,
  records,
  writer,
  metrics,
  logger,
  access,
  admission,
  onHostAnnounced,
}: {
  driver: SwarmDriver;
  records: Records;
  writer: MessageWriter;
  metrics: SchedulerMetrics;
  logger: Logger;
  access: Access;
  admission: Pick<Admission, 'call'>;
  /** Its records are there by then. */
  onHostAnnounced: (host: HostView) => void;
}): Pick<ServiceImpl<typeof scheduler.Scheduler>, 'announceHost' | 'deleteHost' | 'listHosts'> => ({
  announceHost: encodedAnswer(scheduler.Scheduler.method.announceHost, (request, values) => {
    admission.call();
    const { facts, message } = toHostFacts(request);
    access.checkAnnounced({ values }, message);
    const labels = announcementLabels(message);
    metrics.announceHost.attempt(labels);
    const isNew = driver.swarm.host(facts.id) === undefined;
    let isFull = false;
    driver.tell((swarm, nowMs) => {
      const decisions = swarm.hostAnnounced(facts, nowMs);
      isFull = decisions === undefined;
      const host = swarm.host(facts.id);
      if (host !== undefined) {
        records.keepHost(host, { message });
        onHostAnnounced(host);
      }
      return decisions ?? [];
    });
    if (isFull) {
      metrics.announceHost.failure(labels);
      throw new SchedulerOverloadedError('the scheduler knows as many hosts as it can');
    }
    if (isNew) logger.info({ hostId: facts.id, kind: facts.kind, ip: facts.ip, port: facts.port }, 'host announced');
    return DONE;
  }),

  deleteHost({ hostId }, context) {
    metrics.leaveHost.attempt();
    access.checkHost(context, hostId);
    if (driver.swarm.host(hostId) === undefined) {
      metrics.leaveHost.failure();
      throw new HostNotFoundError(hostId);
    }
    driver.tell((swarm, nowMs) => swarm.hostLeft(hostId, nowMs));
    logger.info({ hostId }, 'host left');
    return {};
  },

  listHosts({ type }) {
    metrics.listHosts.attempt();
    const listed = [];
    for (const host of driver.swarm.hosts()) {
      const message = writer.host(host);
      if (type === undefined || message.type === type) listed.push(message);
      if (listed.length === MAX_LISTED_HOSTS) break;
    }
    return { hosts: listed };
  },
});
