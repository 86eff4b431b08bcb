import { postgresKeys, preheatKeys, redisKeys, type Stores } from '@d7y/preheat-queue';
import { duration, LOG_LEVELS, port, type Secret, secretString, tracingKeys } from '@d7y/service-kit';
import { z } from 'zod';

/** A section whose keys all have defaults: present or not, it is there. */
const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) => z.object(shape).prefault({} as never);
const text = () => z.string().min(1);
const positiveDuration = () => duration().refine((ms) => ms > 0, 'expected more than 0');
const count = () => z.int().positive();
const mutualTls = () => z.object({ caCert: text(), cert: text(), key: text() }).optional();
const SECOND = 1_000;

/** Every key that has an effect here; those that managers have, too, mean the same. */
export const workerSchema = z.object({
  console: z.boolean().default(false).describe('log lines for people instead of JSON'),
  logLevel: z.enum(LOG_LEVELS).default('info').describe('least severe level that is logged'),
  worker: section({
    clusters: z.array(count()).default([]).describe('ids of the clusters whose layers are brought here; empty for all'),
    jobs: count().max(1_000).default(16).describe('jobs at once'),
    layers: count().max(1_000).default(64).describe('layers of one cluster at once'),
    grace: positiveDuration()
      .default(30 * SECOND)
      .describe('how long a stop waits for what is under way'),
    lock: positiveDuration()
      .default(20 * SECOND)
      .describe('how long a worker that died is believed to be there'),
    stalledInterval: positiveDuration()
      .default(10 * SECOND)
      .describe('how often work of workers that died is looked for'),
    advertiseIP: z.ipv4().or(z.ipv6()).default('127.0.0.1').describe('address of this worker, for logs of daemons'),
  }),
  database: section({
    postgres: section(postgresKeys),
    redis: section(redisKeys),
  }),
  secrets: section({
    key: secretString().optional().describe('unseals credentials of jobs; that of the managers'),
    keyFile: text().optional().describe('file whose content is `secrets.key`'),
  }),
  preheat: section({
    ...preheatKeys,
    insecureRegistries: z
      .array(text())
      .default([])
      .describe(
        'registries, as `host` or `host:port`, to which images that are named without a scheme may lead by http, credentials in clear; those of this machine do without credentials',
      ),
  }),
  scheduler: section({ tls: mutualTls().describe('certificates towards schedulers') }),
  peer: section({ tls: mutualTls().describe('certificates towards daemons; those of `scheduler.tls` by default') }),
  retention: section({
    job: positiveDuration()
      .default(7 * 86_400 * SECOND)
      .describe('what a job of garbage collection leaves of jobs'),
    audit: positiveDuration()
      .default(7 * 86_400 * SECOND)
      .describe('what it leaves of the audit log'),
  }),
  metrics: section({
    host: z.string().optional().describe('address; every one by default'),
    port: port().default(8010).describe('`/metrics`, `/healthy`, `/readyz`'),
  }),
  tracing: section(tracingKeys('preheat-worker')),
});

/** A checked configuration, with the secrets that stand in files. */
export type WorkerConfig = Omit<z.output<typeof workerSchema>, 'database' | 'secrets'> & {
  readonly database: Stores;
  readonly secrets: { readonly key: Secret | undefined };
  readonly warnings: readonly string[];
};
