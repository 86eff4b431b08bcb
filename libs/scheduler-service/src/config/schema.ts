import { duration, ipAddress, listenAddress, logLevel, managerAddress, port, tracingKeys } from '@d7y/service-kit';
import { z } from 'zod';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A section whose keys all have defaults: present or not, it is there. */
const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) => z.object(shape).prefault({} as never);
const positiveDuration = () => duration().refine((ms) => ms > 0, 'expected more than 0');
const count = () => z.int().positive();
const text = () => z.string().min(1);

/** Client or server certificates: all three files, or none. */
const tls = () => z.object({ caCert: text(), cert: text(), key: text() }).optional();

/** Every key that has an effect here, with its default; the descriptions make the table in docs. Times become milliseconds. */
export const schedulerSchema = z.object({
  console: z.boolean().default(false).describe('log lines for people instead of JSON'),
  verbose: z.boolean().default(false).describe('lines at debug level'),
  server: section({
    advertiseIP: ipAddress().optional().describe('address told to others; the first one of this machine by default'),
    advertisePort: port().optional().describe('port told to others; `server.port` by default'),
    listenIP: ipAddress().optional().describe('address listened on; every one by default'),
    port: port().default(8002).describe('gRPC, and HTTP `/metrics`'),
    host: text().optional().describe('name towards the manager; the host name by default'),
    tls: tls().describe('certificates; whoever calls needs one that `caCert` signed'),
    requestRateLimit: z.number().positive().default(4000).describe('calls and new streams a second'),
    logLevel: logLevel().default('info').describe('least severe level that is logged'),
    dataDir: text().optional().describe('what outlives a restart is kept here'),
  }),
  access: section({
    bindHosts: z
      .boolean()
      .default(true)
      .describe('with `server.tls`: a host may speak for itself only, by its certificate'),
    operators: z
      .array(text())
      .default([])
      .describe('DNS names, URIs or common names of certificates that may preheat and act for every host'),
  }),
  scheduler: section({
    algorithm: text()
      .default('default')
      .describe('`default` and `mesh`: this scheduler’s own; `upstream`: the published one'),
    backToSourceCount: count()
      .optional()
      .describe('peers of a task that may be at the origin at once; 1, under `upstream` 200'),
    retryBackToSourceLimit: count()
      .optional()
      .describe('under `upstream`: failed attempts to find parents after which a peer goes to the origin; 4'),
    retryLimit: count().optional().describe('under `upstream`: failed attempts after which a peer is turned down; 5'),
    retryInterval: positiveDuration()
      .optional()
      .describe('under `upstream`: between two attempts, 25 % more or less; 500ms'),
    candidateParentLimit: count().max(20).default(3).describe('parents offered to a stock daemon'),
    filterParentLimit: z
      .int()
      .min(10)
      .max(1000)
      .optional()
      .describe('under `upstream`: peers looked at for one offer; 15'),
    ownCandidateParentLimit: count().max(20).default(10).describe('parents offered to a daemon of ours'),
    originLeaseDeadline: positiveDuration()
      .default(10 * SECOND)
      .describe('standstill after which a waiting child may go to the origin; in any case after three times that'),
    settleTime: duration()
      .default(5 * SECOND)
      .describe('how long the first children wait for seeds to announce themselves'),
    state: section({
      enable: z
        .boolean()
        .default(true)
        .describe('keep hosts, tasks and who holds them in `server.dataDir`, for the next start'),
    }),
    gc: section({
      pieceDownloadTimeout: positiveDuration()
        .default(30 * MINUTE)
        .describe('silence after which a downloading peer is given up'),
      peerGCInterval: positiveDuration()
        .default(10 * SECOND)
        .describe('between two looks at peers'),
      peerTTL: positiveDuration()
        .default(24 * HOUR)
        .describe('life of an idle peer'),
      taskGCInterval: positiveDuration()
        .default(30 * MINUTE)
        .describe('between two looks at tasks'),
      hostGCInterval: positiveDuration()
        .default(5 * MINUTE)
        .describe('between two looks at hosts'),
      hostTTL: positiveDuration().default(HOUR).describe('silence after which a host’s peers are forgotten'),
    }),
  }),
  dynConfig: section({
    refreshInterval: positiveDuration()
      .default(MINUTE)
      .describe('how often the manager is asked, or the local file is read'),
  }),
  host: section({
    idc: z.string().default('').describe('data centre of this scheduler, for the manager'),
    location: z.string().default('').describe('place of this scheduler, for the manager'),
  }),
  manager: section({
    enable: z.boolean().default(true).describe('`false`: none, whatever `manager.addr` says'),
    addr: managerAddress().optional().describe('`host:port` or URL of its gRPC port; none by default'),
    schedulerClusterID: z.int().nonnegative().default(1).describe('cluster that this scheduler is of'),
    keepAlive: section({
      interval: positiveDuration()
        .default(5 * SECOND)
        .describe('between two signs of life'),
    }),
    tls: tls().describe('certificates towards the manager'),
  }),
  seedPeer: section({
    enable: z.boolean().default(true).describe('`false`: seeds are never told to fetch'),
    tls: tls().describe('certificates towards seeds'),
  }),
  peer: section({ tls: tls().describe('certificates towards other daemons; those of `seedPeer.tls` by default') }),
  preheat: section({
    enableTaskIDBasedBlobDigest: z
      .boolean()
      .default(false)
      .describe(
        'as `proxy.registryMirror.enableTaskIDBasedBlobDigest` of the daemons, so that pulls find what was preheated',
      ),
    upstreams: section({
      allow: z.array(text()).default([]).describe('registries and origins that may be preheated; empty for all'),
      deny: z.array(text()).default([]).describe('those that may not; wins over `allow`'),
      refusePrivate: z.boolean().default(true).describe('refuse private networks and this machine'),
    }),
  }),
  metrics: section({
    enable: z.boolean().default(false).describe('serve `/metrics` on a port of its own, too'),
    addr: listenAddress().prefault(':8000').describe('where'),
    enableHost: z.boolean().default(false).describe('count the traffic of every host by itself'),
  }),
  tracing: section(tracingKeys('scheduler')),
  network: section({ enableIPv6: z.boolean().default(false).describe('listen on and advertise IPv6') }),
});

/** A checked file, without what is found out from the machine. */
export type SchedulerFile = z.output<typeof schedulerSchema>;

/** Old path → the path of today. */
export const ALIASES: Readonly<Record<string, string>> = {
  'server.listen.ip': 'server.listenIP',
  'server.listen.port': 'server.port',
  dynconfig: 'dynConfig',
  pieceDownloadTimeout: 'scheduler.gc.pieceDownloadTimeout',
  algorithm: 'scheduler.algorithm',
  backToSourceCount: 'scheduler.backToSourceCount',
  retryBackToSourceLimit: 'scheduler.retryBackToSourceLimit',
  retryLimit: 'scheduler.retryLimit',
  retryInterval: 'scheduler.retryInterval',
};

/** Keys of other installations that have no effect here: a warning each. */
export const KNOWN_ELSEWHERE: readonly string[] = [
  'pprofPort',
  ...['logDir', 'pluginDir', 'cacheDir', 'workHome', 'logMaxSize', 'logMaxAge', 'logMaxBackups'].map(
    (key) => `server.${key}`,
  ),
  'database',
  'seedPeer.taskDownloadTimeout',
  'job',
];
