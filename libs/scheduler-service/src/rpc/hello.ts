import type { ServiceImpl } from '@connectrpc/connect';
import type { swarm } from '@d7y/api';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';
import { VERSION } from '../version.ts';

/** Optional abilities of this scheduler. */
const FEATURES = ['link'];

/** Processes of ours recognise each other. */
export const hello = ({ driver, instanceId }: { driver: SwarmDriver; instanceId: string }) =>
  ({
    hello({ instanceId: hostId }) {
      if (hostId !== '') driver.swarm.hostRecognised(hostId);
      return { instanceId, version: VERSION, features: FEATURES };
    },
  }) satisfies Partial<ServiceImpl<typeof swarm.SwarmService>>;
