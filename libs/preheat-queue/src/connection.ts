import type { ConnectionOptions } from 'node:tls';
import type { Secret } from '@d7y/service-kit';
import { Cluster, Redis } from 'ioredis';

/** Where Redis is. */
export interface RedisAddress {
  readonly kind: 'redis';
  /** `host:port`; of the sentinels where `masterName` is given, of some nodes of a cluster with `isCluster`. */
  readonly addrs: readonly string[];
  readonly masterName?: string | undefined;
  readonly isCluster?: boolean | undefined;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  readonly sentinelUsername?: string | undefined;
  readonly sentinelPassword?: Secret | undefined;
  /** Number of the database; 0 by default. */
  readonly db?: number | undefined;
  readonly tls?: ConnectionOptions | undefined;
  /** Of all keys. The braces keep them on one node of a cluster. Default `{dragonfly}`. */
  readonly prefix?: string | undefined;
}

/** A PostgreSQL that the queue shares with the manager's tables. */
export interface PostgresAddress {
  readonly kind: 'postgres';
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: Secret | undefined;
  readonly database: string;
  readonly tls?: ConnectionOptions | undefined;
  /** Of the queue's own tables. Default `d7y_queue`. */
  readonly schema?: string | undefined;
}

export type QueueAddress = RedisAddress | PostgresAddress;

export const DEFAULT_PREFIX = '{dragonfly}';
export const DEFAULT_SCHEMA = 'd7y_queue';

/** What a connection is for. `ask`: fails at once while Redis is away, so that requests are answered. `work`: waits for it. */
export type ConnectionUse = 'ask' | 'work';

const MAX_RECONNECT_DELAY_MS = 2_000;

/** A connection, opened in the background. Whoever asks for it closes it, and hears its errors. */
export function connectRedis(address: RedisAddress, use: ConnectionUse): Redis | Cluster {
  const { addrs, masterName, isCluster, username, password, sentinelUsername, sentinelPassword, db, tls } = address;
  const nodes = addrs.map(toNode);
  const common = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: password.reveal() }),
    ...(tls !== undefined && { tls }),
    db: db ?? 0,
    connectTimeout: 5_000,
    keepAlive: 30_000,
    retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 10), MAX_RECONNECT_DELAY_MS),
    ...(use === 'ask' ? { maxRetriesPerRequest: 1, enableOfflineQueue: true } : { maxRetriesPerRequest: null }),
  };
  if (isCluster === true) {
    const { db: _db, ...redisOptions } = common;
    return new Cluster(nodes, {
      redisOptions,
      ...(tls !== undefined && { dnsLookup: (host, done) => done(null, host) }),
    });
  }
  if (masterName !== undefined) {
    return new Redis({
      ...common,
      sentinels: nodes,
      name: masterName,
      ...(sentinelUsername !== undefined && { sentinelUsername }),
      ...(sentinelPassword !== undefined && { sentinelPassword: sentinelPassword.reveal() }),
      ...(tls !== undefined && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    });
  }
  const [node = { host: '127.0.0.1', port: 6379 }] = nodes;
  return new Redis({ ...common, ...node });
}

function toNode(addr: string): { host: string; port: number } {
  const [, host = addr, port = '6379'] = /^(.*?)(?::(\d+))?$/.exec(addr) ?? [];
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}
