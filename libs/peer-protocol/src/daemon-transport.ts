import type { GrpcConnection, GrpcConnectionOptions } from './grpc-connection.ts';
import { createGrpcConnection } from './grpc-connection.ts';

/** Where a daemon takes orders: its unix socket, or the `host:port` of its upload gRPC (IPv6 in brackets). */
export type DaemonTarget = { readonly socketPath: string } | { readonly address: string };

/**
 * A connection for command-line programs that talk to a daemon, stock or ours. The failure of an origin can be read from
 * the errors of its calls by backendErrorOf.
 * @throws {TypeError} when the address is none
 */
export function createDaemonTransport(target: DaemonTarget, options: GrpcConnectionOptions = {}): GrpcConnection {
  if ('socketPath' in target) return createGrpcConnection(target, options);
  const [, v6, host, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(target.address) ?? [];
  const hostName = v6 ?? host;
  if (hostName === undefined) throw new TypeError(`"${target.address}" is not host:port`);
  return createGrpcConnection({ host: hostName, port: Number(port) }, options);
}
