import type { ConnectRouter } from '@connectrpc/connect';
import { scheduler, swarm, swarmListing } from '@d7y/api';
import type { HostView } from '@d7y/swarm';
import type { LinkHub } from '../link/link-hub.ts';
import type { Logger } from '@d7y/service-kit';
import type { Records } from '../messages/records.ts';
import type { AnnouncePeerContext } from './announce-peer.ts';
import { announcePeer } from './announce-peer.ts';
import { hello } from './hello.ts';
import { hosts } from './hosts.ts';
import { link } from './link.ts';
import { listing } from './listing.ts';
import type { PreheatContext } from './preheat.ts';
import { preheat } from './preheat.ts';
import { peersAndTasks } from './peers-and-tasks.ts';
import { registerUnsupported } from './unsupported.ts';

/** Streams that stay open for as long as a download, or a daemon, lives; clients want their headers within ten seconds. */
export const LONG_STREAMS = ['/scheduler.v2.Scheduler/AnnouncePeer', '/d7y.swarm.v1.SwarmService/Link'];

/** Of a stock client: a reschedule repeats its candidates, some kilobytes each. */
const MAX_MESSAGE_BYTES = 2 ** 20;
/** Of our own daemons: inventories of thousands of tasks. */
const MAX_OWN_MESSAGE_BYTES = 2 ** 24;

/** All services of a scheduler but health. */
export function registerServices(
  router: ConnectRouter,
  parts: AnnouncePeerContext &
    PreheatContext & {
      readonly records: Records;
      readonly logger: Logger;
      readonly instanceId: string;
      readonly hub: LinkHub;
      readonly onHostAnnounced: (host: HostView) => void;
      readonly linkMetrics: { request(kind: string): void };
    },
): void {
  const offered = { ...announcePeer(parts), ...hosts(parts), ...peersAndTasks(parts), ...preheat(parts) };
  router.service(scheduler.Scheduler, offered, { readMaxBytes: MAX_MESSAGE_BYTES });
  registerUnsupported(router, offered);
  router.service(swarmListing.SwarmListingService, listing(parts));
  router.service(swarm.SwarmService, { ...hello(parts), ...link(parts) }, { readMaxBytes: MAX_OWN_MESSAGE_BYTES });
}
