import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { describeSystemError, secretOrFile, StartError } from '@d7y/service-kit';
import type { QueueAddress } from '../connection.ts';
import type { PostgresSettings, RedisSettings, WrittenStores } from './store-keys.ts';

/** Where tables and queue are, with the secrets that stand in files. */
export interface Stores<Postgres extends PostgresSettings = PostgresSettings> {
  readonly postgres: Postgres;
  /** Undefined: the queue is in PostgreSQL. */
  readonly redis: RedisSettings | undefined;
}

/** Reads the files with secrets. @throws {ConfigError} */
export function storesOf<Postgres extends WrittenStores['postgres']>({
  postgres: { passwordFile: postgresFile, ...postgres },
  redis: { passwordFile: redisFile, sentinelPasswordFile: sentinelFile, ...redis },
}: WrittenStores<Postgres>): Stores<Omit<Postgres, 'passwordFile'>> {
  const postgresPassword = secretOrFile('database.postgres.password', postgres.password, postgresFile);
  const password = secretOrFile('database.redis.password', redis.password, redisFile);
  const sentinelPassword = secretOrFile('database.redis.sentinelPassword', redis.sentinelPassword, sentinelFile);
  return {
    postgres: { ...postgres, ...(postgresPassword && { password: postgresPassword }) },
    redis:
      redis.addrs.length === 0
        ? undefined
        : { ...redis, ...(password && { password }), ...(sentinelPassword && { sentinelPassword }) },
  };
}

/** Where the queue is: in Redis when the configuration names one, else beside the tables. @throws {StartError} a certificate cannot be read */
export function queueAddressOf({ postgres, redis }: Stores): QueueAddress {
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
        ...(tls.caCert !== undefined && { ca: read('database.redis.tls.caCert', tls.caCert) }),
        ...(tls.cert !== undefined && { cert: read('database.redis.tls.cert', tls.cert) }),
        ...(tls.key !== undefined && { key: read('database.redis.tls.key', tls.key) }),
        rejectUnauthorized: !tls.insecureSkipVerify,
      },
    }),
  };
}

/** How the server of the tables is reached; undefined: in clear. @throws {StartError} a certificate cannot be read */
export function postgresTlsOf({
  sslMode,
  sslRootCert,
  host,
}: Pick<PostgresSettings, 'sslMode' | 'sslRootCert' | 'host'>): ConnectionOptions | undefined {
  if (sslMode === 'disable') return undefined;
  if (sslMode === 'require') return { rejectUnauthorized: false };
  const ca = sslRootCert === undefined ? undefined : { ca: read('database.postgres.sslRootCert', sslRootCert) };
  // `verify-ca` believes whoever has a certificate from the right authority, whatever the name in it.
  return sslMode === 'verify-ca' ? { ...ca, checkServerIdentity: () => undefined } : { ...ca, servername: host };
}

function read(key: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StartError(`${key}: ${describeSystemError(error, path) ?? `${path}: cannot be read`}`, { cause: error });
  }
}
