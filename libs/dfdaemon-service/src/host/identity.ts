import { isIP } from 'node:net';
import { hostname as osHostname, networkInterfaces } from 'node:os';
import { hostIdOf } from '@d7y/piece';
import type { DfdaemonConfig } from '../config/schema.ts';

/** Who this daemon is to others. */
export interface Identity {
  /** Address under which other daemons reach this one. */
  readonly ip: string;
  readonly hostname: string;
  readonly hostId: string;
  readonly isSeed: boolean;
  /** `namespace-pod` in Kubernetes, the host name elsewhere. */
  readonly name: string;
}

/** Identity from the configuration; what it leaves open comes from the system. */
export function identityOf(config: DfdaemonConfig, env: Readonly<Record<string, string | undefined>>): Identity {
  const hostname = config.host.hostname ?? osHostname();
  const ip = config.host.ip ?? localAddress(config.network.enableIPv6) ?? '127.0.0.1';
  const isSeed = config.seedPeer.enable;
  const { POD_NAMESPACE: namespace, POD_NAME: pod } = env;
  return {
    ip,
    hostname,
    isSeed,
    hostId: hostIdOf({ ip, hostname, isSeed }),
    name: namespace !== undefined && pod !== undefined ? `${namespace}-${pod}` : hostname,
  };
}

/** The first address of this machine that others may reach: IPv6 where wanted, else IPv4, else IPv6. */
function localAddress(preferIpv6: boolean): string | undefined {
  const all = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^fe80:/i.test(address))
    .map(({ address }) => address);
  const first = (family: number) => all.find((address) => isIP(address) === family);
  return preferIpv6 ? (first(6) ?? first(4)) : (first(4) ?? first(6));
}
