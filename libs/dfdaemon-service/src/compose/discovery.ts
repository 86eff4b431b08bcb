import { join, resolve } from 'node:path';
import { createManagerClient, createSchedulerClient } from '@d7y/peer-protocol';
import { managerOf, StartError } from '@d7y/service-kit';
import { schedulerAddresses } from '../scheduler/dynconfig.ts';
import { ManagerDynconfig } from '../scheduler/manager-dynconfig.ts';
import { VERSION } from '../version.ts';
import { tlsSourceOf } from './peer-tls.ts';
import type { Runtime } from './runtime.ts';

/** Where schedulers are found, and what else is said there. */
export interface Discovery {
  /** `ip:port` of schedulers as of now. @throws when nobody says */
  readonly schedulers: () => Promise<readonly string[]>;
  /** JSON text of the cluster's settings as a manager sends them; undefined without a manager. */
  readonly clusterConfig: (() => string) | undefined;
}

/** A manager where one is configured, else the configuration and the local file. @throws {StartError} */
export async function createDiscovery(runtime: Runtime): Promise<Discovery> {
  const { config, identity, interceptors, lifetime, logger, stack, tls } = runtime;
  const manager = managerOf(config.manager);
  if (manager === undefined) return { schedulers: () => schedulerAddresses(config), clusterConfig: undefined };
  if (manager.isSecure && tls.manager === undefined)
    throw new StartError('manager.addr: an https address needs manager.caCert, cert and key');
  const client = stack.use(
    createManagerClient(manager, { interceptors, ...(tls.manager && { tls: tls.manager.current }) }),
  );
  const dynconfig = await ManagerDynconfig.open({
    client,
    path: join(resolve(config.storage.dir), 'dynconfig.json'),
    search: {
      isSeed: identity.isSeed,
      hostname: identity.hostname,
      ip: identity.ip,
      idc: config.host.idc,
      location: config.host.location,
      version: VERSION,
      commit: '',
      schedulerClusterId: config.host.schedulerClusterID,
    },
    isServing: async (address, options) => {
      await using scheduler = createSchedulerClient({
        ...{ address: parseAddress(address), hostId: identity.hostId, version: VERSION, logger },
        tls: tlsSourceOf(tls.scheduler),
      });
      return await scheduler.checkHealth(options).catch(() => false);
    },
    logger,
  });
  return {
    schedulers: () => dynconfig.addresses({ signal: lifetime.signal }),
    clusterConfig: () => dynconfig.clientConfig,
  };
}

/** @param address `host:port`; IPv6 in brackets */
export function parseAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}
