import { duration, port, secretString } from '@d7y/service-kit';
import { z } from 'zod';

const text = () => z.string().min(1);
const file = (key: string) => text().optional().describe(`file whose content is \`${key}\``);
const secret = (what: string) => secretString().optional().describe(what);

/** Keys of `database.postgres`, the same for all who use the tables. */
export const postgresKeys = {
  host: text().default('127.0.0.1').describe('address or name of the server, or the directory of its socket'),
  port: port().default(5432).describe('port of the server'),
  user: text().default('postgres').describe('user'),
  password: secret('password'),
  passwordFile: file('database.postgres.password'),
  dbname: text().default('manager').describe('database; it must be there'),
  sslMode: z
    .enum(['disable', 'require', 'verify-ca', 'verify-full'])
    .default('disable')
    .describe('`require` encrypts, `verify-ca` also checks who signed, `verify-full` also the name'),
  sslRootCert: text().optional().describe('file with the certificates that sign the server’s; the system’s by default'),
  poolSize: z.int().positive().default(10).describe('connections'),
  connectTimeout: duration()
    .refine((ms) => ms > 0, 'expected more than 0')
    .default(120_000)
    .describe('how long the start waits for the server'),
};

/** Keys of `database.redis`, the same for all who use the queue. */
export const redisKeys = {
  addrs: z
    .array(text())
    .default([])
    .describe('`host:port` of Redis, its sentinels or its cluster; none: the queue is in PostgreSQL'),
  masterName: z.string().default('').describe('name of the master; `addrs` are sentinels then'),
  username: z.string().default('').describe('user'),
  password: secret('password'),
  passwordFile: file('database.redis.password'),
  sentinelUsername: z.string().default('').describe('user of the sentinels'),
  sentinelPassword: secret('password of the sentinels'),
  sentinelPasswordFile: file('database.redis.sentinelPassword'),
  queueDB: z.int().nonnegative().default(0).describe('number of the database with the queues'),
  tls: z
    .object({
      caCert: text().optional(),
      cert: text().optional(),
      key: text().optional(),
      insecureSkipVerify: z.boolean().default(false),
    })
    .optional()
    .describe('encrypt; `caCert`, `cert`, `key`, `insecureSkipVerify`'),
};

type Output<Keys extends z.core.$ZodLooseShape> = z.output<z.ZodObject<Keys>>;

/** As a file says it. */
export interface WrittenStores<Postgres extends Output<typeof postgresKeys> = Output<typeof postgresKeys>> {
  readonly postgres: Postgres;
  readonly redis: Output<typeof redisKeys>;
}

export type PostgresSettings = Omit<WrittenStores['postgres'], 'passwordFile'>;
export type RedisSettings = Omit<WrittenStores['redis'], 'passwordFile' | 'sentinelPasswordFile'>;
