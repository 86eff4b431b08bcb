import {
  duration,
  httpUrl,
  ipAddress,
  listenAddress,
  logLevel,
  port,
  secretString,
  tracingKeys,
} from '@d7y/service-kit';
import { OPENABLE } from '@d7y/manager-api';
import { postgresKeys, preheatKeys, redisKeys } from '@d7y/preheat-queue';
import { z } from 'zod';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A section whose keys all have defaults: present or not, it is there. */
const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) => z.object(shape).prefault({} as never);
const positiveDuration = () => duration().refine((ms) => ms > 0, 'expected more than 0');
const count = () => z.int().positive();
const text = () => z.string().min(1);
/** A secret in the configuration itself, or in a file, which is how Kubernetes and others hand it out. */
const secret = (what: string) => secretString().optional().describe(what);
const secretFile = (key: string) => text().optional().describe(`file whose content is \`${key}\``);

/** Certificates: all three files, or none. */
const mutualTls = () => z.object({ caCert: text(), cert: text(), key: text() }).optional();

const OPENABLE_ROUTES = [...OPENABLE.keys()];

/** Every key that has an effect here, with its default; the descriptions make the table in docs. Times become milliseconds. */
export const managerSchema = z.object({
  console: z.boolean().default(false).describe('log lines for people instead of JSON'),
  verbose: z.boolean().default(false).describe('lines at debug level'),
  server: section({
    name: text().default('d7y/manager').describe('name of this installation, for logs and traces'),
    logLevel: logLevel().default('info').describe('least severe level that is logged'),
    grpc: section({
      advertiseIP: ipAddress().optional().describe('address told to others; the first one of this machine by default'),
      listenIP: ipAddress().optional().describe('address listened on; every one by default'),
      port: section({
        start: port().default(65_003).describe('gRPC, for schedulers and daemons'),
        end: port().optional().describe('without effect: one port is enough'),
      }),
      tls: mutualTls().describe('certificates; whoever calls needs one that `caCert` signed'),
      requestRateLimit: z
        .number()
        .positive()
        .default(4000)
        .describe('calls and new streams a second; health checks are free'),
    }),
    rest: section({
      addr: listenAddress().prefault(':8080').describe('REST interface, console, `/healthy`'),
      tls: z.object({ cert: text(), key: text() }).optional().describe('certificate of the REST interface'),
      trustProxy: z
        .array(text())
        .default([])
        .describe('addresses and networks of proxies in front, whose `X-Forwarded-For` is believed'),
    }),
  }),
  auth: section({
    jwt: section({
      realm: text().default('Dragonfly').describe('named in refusals'),
      key: secret('signs sessions; at least 16 characters, the same for all managers'),
      keyFile: secretFile('auth.jwt.key'),
      timeout: positiveDuration()
        .default(15 * MINUTE)
        .describe('life of a session token; whoever is at work gets new ones'),
      maxRefresh: positiveDuration()
        .default(7 * DAY)
        .describe('how long a session can be continued without a password'),
    }),
    signup: z
      .enum(['closed', 'open'])
      .default('closed')
      .describe('whether anybody may make a user, with the role guest'),
    openRoutes: z
      .array(z.enum(OPENABLE_ROUTES))
      .default([])
      .describe(
        `routes that need no credentials, for development: ${OPENABLE_ROUTES.map((name) => `\`${name}\``).join(', ')}`,
      ),
    cookie: section({
      secure: z
        .boolean()
        .optional()
        .describe('send the session’s cookie over TLS only; by default when `server.rest.tls` is set'),
      sameSite: z.enum(['strict', 'lax', 'none']).default('lax').describe('from which sites the cookie is sent along'),
    }),
    signinPerMinute: count().default(5).describe('attempts of one name from one address'),
    allowInsecureDefaults: z
      .boolean()
      .default(false)
      .describe('start with a published or short `auth.jwt.key`; for development'),
  }),
  database: section({
    type: text().default('postgres').describe('`postgres` is the only one'),
    postgres: section({
      ...postgresKeys,
      migrate: z.boolean().default(true).describe('bring the tables up to date at the start'),
    }),
    redis: section(redisKeys),
  }),
  secrets: section({
    key: secret(
      'seals credentials of jobs in the database; 32 bytes in base64 or hex, the same for all managers and workers',
    ),
    keyFile: secretFile('secrets.key'),
  }),
  job: section({
    preheat: section({
      ...preheatKeys,
      registryTimeout: positiveDuration()
        .default(MINUTE)
        .describe('without effect: workers bound each answer of a registry themselves'),
    }),
    syncPeers: section({
      interval: positiveDuration()
        .default(5 * MINUTE)
        .describe('how often schedulers are asked for their hosts'),
      timeout: positiveDuration()
        .default(10 * MINUTE)
        .describe('for the answer of one scheduler'),
      batchSize: count().max(10_000).default(500).describe('hosts written at a time'),
    }),
    retention: positiveDuration()
      .default(7 * DAY)
      .describe('how long jobs that have ended are kept, and at least the last 100'),
  }),
  audit: section({
    retention: positiveDuration()
      .default(7 * DAY)
      .describe('how long the audit log is kept'),
  }),
  taskHistory: section({
    interval: positiveDuration().default(MINUTE).describe('how often schedulers are asked for their tasks'),
    retention: positiveDuration()
      .default(7 * DAY)
      .describe('how long tasks are told of that no scheduler knows any more'),
    maxTasks: count().max(10_000_000).default(100_000).describe('of which so many at most'),
  }),
  schedulers: section({
    retention: positiveDuration()
      .default(30 * MINUTE)
      .describe('how long schedulers and seed peers that have gone are kept'),
  }),
  cors: section({
    allowedOrigins: z.array(httpUrl()).default([]).describe('sites whose pages may call the REST interface'),
  }),
  bootstrap: section({
    clusters: z
      .array(
        z.object({
          id: count(),
          name: text().max(256),
          isDefault: z.boolean().default(false),
          scopes: section({
            idc: z.string().max(1024).default(''),
            location: z.string().max(1024).default(''),
            cidrs: z.array(text()).max(1000).default([]),
            hostnames: z.array(text()).max(1000).default([]),
          }),
        }),
      )
      .max(1000)
      .default([])
      .describe('clusters that are made when they are not there: `id`, `name`, `isDefault`, `scopes`'),
  }),
  leaderElection: section({
    enable: z
      .boolean()
      .default(true)
      .describe('one manager at a time does the work in the background; `false`: this one never does'),
  }),
  metrics: section({
    enable: z.boolean().default(false).describe('serve `/metrics`'),
    addr: listenAddress().prefault(':8000').describe('where'),
  }),
  tracing: section(tracingKeys('manager')),
  network: section({ enableIPv6: z.boolean().default(false).describe('listen on and advertise IPv6') }),
});

/** A checked file, without what is found out from the machine. */
export type ManagerFile = z.output<typeof managerSchema>;

/** Old path → the path of today. */
export const ALIASES: Readonly<Record<string, string>> = {
  'server.grpc.listen': 'server.grpc.listenIP',
  'server.restAddr': 'server.rest.addr',
  'database.redis.brokerDB': 'database.redis.queueDB',
};

/** Keys of other installations that have no effect here: a warning each. */
export const KNOWN_ELSEWHERE: readonly string[] = [
  'pprofPort',
  ...['logDir', 'logMaxSize', 'logMaxAge', 'logMaxBackups', 'pluginDir', 'cacheDir', 'dataDir', 'workHome'].map(
    (key) => `server.${key}`,
  ),
  'security',
  'cache',
  'auth.bcryptCost',
  ...['mysql', 'mariadb', 'polardb'].map((key) => `database.${key}`),
  ...['preferSimpleProtocol', 'timezone'].map((key) => `database.postgres.${key}`),
  ...['host', 'port', 'db', 'backendDB', 'poolSize', 'poolTimeout', 'proxy'].map((key) => `database.redis.${key}`),
  ...['rateLimit', 'gc'].map((key) => `job.${key}`),
  ...['enablePeerGauge'].map((key) => `metrics.${key}`),
  'objectStorage',
];
