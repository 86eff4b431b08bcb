import { createSeedPeerManagerClient } from '@d7y/peer-protocol';
import { managerOf } from '@d7y/service-kit';
import { SeedPresence } from '../scheduler/seed-presence.ts';
import type { Runtime } from './runtime.ts';

/** A seed's place in the manager's books; undefined for daemons that are no seeds, and without a manager. */
export function createSeedPresence(
  { config, identity, interceptors, logger, stack, tls }: Runtime,
  uploadPort: number,
): SeedPresence | undefined {
  const manager = managerOf(config.manager);
  if (manager === undefined || !identity.isSeed) return undefined;
  const client = stack.use(
    createSeedPeerManagerClient(manager, { interceptors, ...(tls.manager && { tls: tls.manager.current }) }),
  );
  return new SeedPresence({
    client,
    registration: {
      ...{ hostname: identity.hostname, ip: identity.ip, port: uploadPort, downloadPort: uploadPort },
      ...{ clusterId: config.seedPeer.clusterID, idc: config.host.idc, location: config.host.location },
    },
    logger,
  });
}
