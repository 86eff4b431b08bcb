import type { ServiceImpl } from '@connectrpc/connect';
import type { swarm } from '@d7y/api';
import type { Access } from '../access/access.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';
import { VERSION } from '../version.ts';

/** Optional abilities of this scheduler. */
const FEATURES = ['link', 'peers'];

/** Processes of ours recognise each other. */
export const hello = ({ driver, instanceId, access }: { driver: SwarmDriver; instanceId: string; access: Access }) =>
  ({
    hello({ instanceId: hostId }, call) {
      // Who asks on behalf of others, such as a tool of an operator, changes nothing.
      if (hostId !== '' && access.speaksFor(call, hostId)) driver.swarm.hostRecognised(hostId);
      return { instanceId, version: VERSION, features: FEATURES };
    },
  }) satisfies Partial<ServiceImpl<typeof swarm.SwarmService>>;
