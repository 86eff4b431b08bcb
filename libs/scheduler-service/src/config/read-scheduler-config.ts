import { hostname } from 'node:os';
import { join } from 'node:path';
import type { ListenAddress, LogLevel, ManagerAddress } from '@d7y/service-kit';
import { ConfigError, defaultDirectories, firstAddress, isLoopbackAddress, readConfig } from '@d7y/service-kit';
import type { SchedulerFile } from './schema.ts';
import { ALIASES, KNOWN_ELSEWHERE, schedulerSchema } from './schema.ts';

/** What decides who fetches from whom. */
export type Algorithm = 'mesh' | 'upstream';

const ALGORITHMS: Readonly<Record<string, Algorithm>> = { default: 'mesh', mesh: 'mesh', upstream: 'upstream' };
/** Children wait for events here, so there is nothing to repeat at intervals, and no sample to bound. */
const ONLY_UPSTREAM = ['retryBackToSourceLimit', 'retryLimit', 'retryInterval', 'filterParentLimit'] as const;
/** Peers at the origin at once, unless configured: as few as can be, and as many as is published. */
const BACK_TO_SOURCE_COUNTS: Readonly<Record<Algorithm, number>> = { mesh: 1, upstream: 200 };

/** Everything a scheduler needs to know, with all defaults filled in; times in milliseconds. */
export interface SchedulerConfig extends Omit<
  SchedulerFile,
  'server' | 'metrics' | 'verbose' | 'scheduler' | 'manager' | 'peer'
> {
  readonly server: SchedulerFile['server'] & {
    readonly advertiseIP: string;
    readonly host: string;
    readonly dataDir: string;
  };
  readonly scheduler: Omit<SchedulerFile['scheduler'], 'algorithm'> & {
    readonly algorithm: Algorithm;
    readonly backToSourceCount: number;
  };
  /** Undefined where there is none, or it is switched off. */
  readonly manager: (SchedulerFile['manager'] & { readonly addr: ManagerAddress }) | undefined;
  readonly peer: SchedulerFile['peer'];
  readonly metrics: SchedulerFile['metrics'] & { readonly listen: ListenAddress | undefined };
  /** File that stands in for a manager; undefined: there is none, and defaults hold. */
  readonly dynconfigPath: string | undefined;
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
  readonly dynconfigPath?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** User of the process: root keeps its state in the system's directories. */
  readonly uid?: number | undefined;
}

/** Reads, checks and completes the configuration. @throws {ConfigError} */
export function readSchedulerConfig(source: SchedulerConfigSource): SchedulerConfig {
  const { console, logLevel: level, dynconfigPath, env, uid, ...file } = source;
  const { config, warnings } = readConfig({
    ...file,
    env,
    schema: schedulerSchema,
    aliases: ALIASES,
    knownElsewhere: KNOWN_ELSEWHERE,
  });
  const { server, metrics, scheduler, manager, verbose, ...rest } = config;
  const algorithm = ALGORITHMS[scheduler.algorithm] ?? 'mesh';
  return {
    ...rest,
    scheduler: {
      ...scheduler,
      algorithm,
      backToSourceCount: scheduler.backToSourceCount ?? BACK_TO_SOURCE_COUNTS[algorithm],
    },
    manager: manager.enable && manager.addr !== undefined ? { ...manager, addr: manager.addr } : undefined,
    console: config.console || console === true,
    server: {
      ...server,
      advertiseIP: server.advertiseIP ?? firstAddress(config.network.enableIPv6 ? 'IPv6' : 'IPv4'),
      host: server.host ?? hostname(),
      logLevel: level ?? (verbose ? 'debug' : server.logLevel),
      dataDir: server.dataDir ?? join(defaultDirectories(uid, env).storage, 'scheduler'),
    },
    metrics: { ...metrics, listen: metrics.enable ? metrics.addr : undefined },
    dynconfigPath,
    warnings: [...warnings, ...ownWarnings(config)],
  };
}

function ownWarnings({ scheduler, manager, server, access }: SchedulerFile): string[] {
  const warnings: string[] = [];
  if (ALGORITHMS[scheduler.algorithm] === undefined) {
    warnings.push(`scheduler.algorithm: "${scheduler.algorithm}" is not available, the default is used`);
  }
  if (ALGORITHMS[scheduler.algorithm] !== 'upstream') {
    for (const key of ONLY_UPSTREAM)
      if (scheduler[key] !== undefined)
        warnings.push(`scheduler.${key}: has no effect here, only with scheduler.algorithm: upstream`);
  }
  if (manager.enable && manager.addr?.isSecure === true && manager.tls === undefined) {
    throw new ConfigError(['manager.addr: an https address needs manager.tls with caCert, cert and key']);
  }
  if (server.tls === undefined && !isLoopbackAddress(server.listenIP)) {
    warnings.push(
      'server.tls: not set, so whoever can reach the port may announce and delete hosts: trust your network',
    );
  }
  if (server.tls === undefined && access.operators.length > 0) {
    warnings.push('access.operators: without server.tls nobody can be told from others, so all are operators');
  }
  if (server.tls !== undefined && !access.bindHosts) {
    warnings.push('access.bindHosts: false, so every certificate speaks for every host');
  }
  return warnings;
}
