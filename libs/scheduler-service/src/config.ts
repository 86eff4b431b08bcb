import { hostname, networkInterfaces } from 'node:os';
import type { LogLevel } from '@d7y/service-kit';
import { ConfigError, duration, ipAddress, port, readConfig, secretString } from '@d7y/service-kit';
import { z } from 'zod';

const positiveDuration = () => duration().refine((ms) => ms > 0, 'expected more than 0');
const count = () => z.int().positive();

/** Client or server certificates: all three files, or none. */
const tls = () => z.object({ caCert: z.string(), cert: z.string(), key: z.string() }).optional();

const LEVELS: Readonly<Record<string, LogLevel>> = { panic: 'fatal', warning: 'warn' };
const logLevel = () =>
  z
    .enum(['trace', 'debug', 'info', 'warn', 'warning', 'error', 'panic', 'fatal', 'silent'])
    .transform((level) => LEVELS[level] ?? (level as LogLevel));

const SECTION = {
  server: z.object({
    advertiseIP: ipAddress().optional(),
    advertisePort: port().optional(),
    listenIP: ipAddress().optional(),
    port: port().default(8002),
    host: z.string().min(1).optional(),
    tls: tls(),
    requestRateLimit: z.number().positive().default(4000),
    logLevel: logLevel().default('info'),
  }),
  tracing: z.object({
    protocol: z.enum(['', 'http', 'https', 'grpc']).default(''),
    endpoint: z.string().default(''),
    path: z.string().default('/v1/traces'),
    'service-name': z.string().min(1).default('scheduler'),
    headers: z.record(z.string(), secretString()).default({}),
  }),
  gc: z.object({
    pieceDownloadTimeout: positiveDuration().default(30 * 60_000),
    peerGCInterval: positiveDuration().default(10_000),
    peerTTL: positiveDuration().default(24 * 3_600_000),
    taskGCInterval: positiveDuration().default(30 * 60_000),
    hostGCInterval: positiveDuration().default(5 * 60_000),
    hostTTL: positiveDuration().default(3_600_000),
  }),
  manager: z.object({
    enable: z.boolean().default(true),
    addr: z.string().min(1).optional(),
    schedulerClusterID: z.int().nonnegative().default(1),
  }),
  metrics: z.object({
    enable: z.boolean().default(false),
    addr: z.string().default(':8000'),
    enableHost: z.boolean().default(false),
  }),
};

const schedulerSection = z.object({
  algorithm: z.string().default('default'),
  backToSourceCount: count().default(1),
  candidateParentLimit: count().max(20).default(3),
  ownCandidateParentLimit: count().max(20).default(10),
  originLeaseDeadline: positiveDuration().default(10_000),
  settleTime: duration().default(5_000),
  gc: SECTION.gc.prefault({}),
});

const schema = z.object({
  console: z.boolean().default(false),
  verbose: z.boolean().default(false),
  server: SECTION.server.prefault({}),
  scheduler: schedulerSection.prefault({}),
  seedPeer: z.object({ enable: z.boolean().default(true), tls: tls() }).prefault({}),
  manager: SECTION.manager.prefault({}),
  metrics: SECTION.metrics.prefault({}),
  tracing: SECTION.tracing.prefault({}),
  network: z.object({ enableIPv6: z.boolean().default(false) }).prefault({}),
});

const ALIASES = {
  'server.listen.ip': 'server.listenIP',
  'server.listen.port': 'server.port',
  pieceDownloadTimeout: 'scheduler.gc.pieceDownloadTimeout',
  backToSourceCount: 'scheduler.backToSourceCount',
  algorithm: 'scheduler.algorithm',
};

const KNOWN_ELSEWHERE = [
  'pprofPort',
  'server.logDir',
  'server.pluginDir',
  'server.cacheDir',
  'server.dataDir',
  'server.workHome',
  'server.logMaxSize',
  'server.logMaxAge',
  'server.logMaxBackups',
  // Children wait for events here, so there is nothing to repeat at intervals.
  'scheduler.retryBackToSourceLimit',
  'scheduler.retryLimit',
  'scheduler.retryInterval',
  'retryBackToSourceLimit',
  'retryLimit',
  'retryInterval',
  'database',
  'dynConfig',
  'dynconfig',
  'host',
  'manager.keepAlive',
  'manager.tls',
  'seedPeer.taskDownloadTimeout',
  'peer',
  'job',
];

type FileConfig = z.output<typeof schema>;

/** Everything a scheduler needs to know, with all defaults filled in; times in milliseconds. */
export interface SchedulerConfig extends Omit<FileConfig, 'server' | 'metrics' | 'verbose'> {
  readonly server: FileConfig['server'] & { readonly advertiseIP: string; readonly host: string };
  readonly metrics: FileConfig['metrics'] & { readonly listen: { host: string | undefined; port: number } | undefined };
  /** One line each, for the log once there is one. */
  readonly warnings: readonly string[];
}

/** Where a configuration comes from. */
export interface SchedulerConfigSource {
  readonly path?: string | undefined;
  /** The YAML itself, instead of a file. */
  readonly text?: string | undefined;
  /** The file may be missing. */
  readonly optional?: boolean;
  /** Override what the file says. */
  readonly console?: boolean;
  readonly logLevel?: LogLevel | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads, checks and completes the configuration. @throws {ConfigError} */
export function readSchedulerConfig({ console, logLevel: level, ...source }: SchedulerConfigSource): SchedulerConfig {
  const { config, warnings } = readConfig({ ...source, schema, aliases: ALIASES, knownElsewhere: KNOWN_ELSEWHERE });
  const { server, metrics, scheduler, verbose, ...rest } = config;
  return {
    ...rest,
    scheduler,
    console: config.console || console === true,
    server: {
      ...server,
      advertiseIP: server.advertiseIP ?? firstAddress(config.network.enableIPv6 ? 'IPv6' : 'IPv4'),
      host: server.host ?? hostname(),
      logLevel: level ?? (verbose ? 'debug' : server.logLevel),
    },
    metrics: { ...metrics, listen: metrics.enable ? parseListenAddress(metrics.addr) : undefined },
    warnings: [...warnings, ...ownWarnings(config)],
  };
}

function ownWarnings({ scheduler, manager, server }: FileConfig): string[] {
  const warnings: string[] = [];
  if (scheduler.algorithm !== 'default') {
    warnings.push(`scheduler.algorithm: "${scheduler.algorithm}" is not available, the default is used`);
  }
  if (manager.enable && manager.addr !== undefined) {
    warnings.push('manager.addr: this scheduler does not use a manager yet, daemons must list it themselves');
  }
  if (server.tls === undefined && !isLoopback(server.listenIP)) {
    warnings.push(
      'server.tls: not set, so whoever can reach the port may announce and delete hosts: trust your network',
    );
  }
  return warnings;
}

/** Only this machine reaches such an address. */
function isLoopback(ip: string | undefined): boolean {
  return ip !== undefined && (ip === '::1' || ip.startsWith('127.'));
}

/** The first address that is not loopback, or loopback where there is no other. */
function firstAddress(family: 'IPv4' | 'IPv6'): string {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const found = addresses.find(
    (entry) => entry.family === family && !entry.internal && !entry.address.startsWith('fe80'),
  );
  return found?.address ?? (family === 'IPv4' ? '127.0.0.1' : '::1');
}

function parseListenAddress(text: string): { host: string | undefined; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) > 65_535) {
    throw new ConfigError([`metrics.addr: expected an address such as :8000 or 127.0.0.1:8000, not "${text}"`]);
  }
  return { host: (bracketed ?? plain) || undefined, port: Number(digits) };
}
