import { readFileSync } from 'node:fs';
import type { QueueAddress } from '@d7y/preheat-queue';
import { describeSystemError, StartError } from '@d7y/service-kit';
import type { ManagerConfig } from '../config/read-manager-config.ts';
import { postgresTlsOf } from './open-database.ts';

/** Where the queue is: in Redis when the configuration names one, else beside the tables. @throws {StartError} a certificate cannot be read */
export function queueAddressOf({ database: { postgres, redis } }: Pick<ManagerConfig, 'database'>): QueueAddress {
  if (redis === undefined) {
    const { host, port, user, password, dbname: database } = postgres;
    return { kind: 'postgres', host, port, user, password, database, tls: postgresTlsOf(postgres) };
  }
  const { addrs, masterName, username, password, sentinelUsername, sentinelPassword, queueDB: db, tls } = redis;
  return {
    ...{ kind: 'redis', addrs, db, password, sentinelPassword },
    masterName: masterName || undefined,
    username: username || undefined,
    sentinelUsername: sentinelUsername || undefined,
    ...(tls !== undefined && {
      tls: {
        ...(tls.caCert !== undefined && { ca: read('caCert', tls.caCert) }),
        ...(tls.cert !== undefined && { cert: read('cert', tls.cert) }),
        ...(tls.key !== undefined && { key: read('key', tls.key) }),
        rejectUnauthorized: !tls.insecureSkipVerify,
      },
    }),
  };
}

function read(key: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StartError(
      `database.redis.tls.${key}: ${describeSystemError(error, path) ?? `${path}: cannot be read`}`,
      {
        cause: error,
      },
    );
  }
}
