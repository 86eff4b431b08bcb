import { ConfigError, type ConfigRead, defaultDirectories, readConfig } from '@d7y/service-kit';
import { type DfdaemonConfig, dfdaemonSchema } from './schema.ts';
import { tlsProblemOf } from './tls-files.ts';

/** Older names of keys. Rules and registries, which are lists, know their older names themselves. */
const ALIASES: Readonly<Record<string, string>> = {
  'server.listen.ip': 'proxy.server.ip',
  'server.listen.port': 'proxy.server.port',
  'proxy.registryMirror.url': 'proxy.registryMirror.addr',
  'proxy.proxies': 'proxy.rules',
  'scheduler.manager.refreshInterval': 'dynconfig.refreshInterval',
  'scheduler.manager.enable': 'manager.enable',
  'scheduler.manager.netAddrs': 'manager.netAddrs',
  'download.totalRateLimit': 'download.bandwidthLimit',
  'storage.taskExpireTime': 'gc.policy.taskTTL',
  'storage.diskGCThresholdPercent': 'gc.policy.diskHighThresholdPercent',
  'gc.policy.distThreshold': 'gc.policy.diskThreshold',
  'gc.policy.distHighThresholdPercent': 'gc.policy.diskHighThresholdPercent',
  'gc.policy.distLowThresholdPercent': 'gc.policy.diskLowThresholdPercent',
  keepStorage: 'storage.keep',
};

/** Keys of daemons of this protocol that have no effect in this one. */
const KNOWN_ELSEWHERE: readonly string[] = [
  ...['pluginDir', 'cacheDir', 'adaptiveRateLimit'].map((key) => `server.${key}`),
  ...['requestRateLimit', 'requestBufferSize'].flatMap((key) => [`download.server.${key}`, `upload.server.${key}`]),
  ...['security', 'stats', 'pprofPort', 'containerRuntime'],
  ...['enableBackToSource', 'retryLimit', 'retryInterval'].map((key) => `scheduler.${key}`),
  ...['quicPort', 'tcpFastopen'].map((key) => `storage.server.${key}`),
  ...['writePieceTimeout', 'writeBufferSize', 'readBufferSize', 'cacheCapacity'].map((key) => `storage.${key}`),
  ...['requestHeader', 'enableCacheTemporaryRedirect', 'cacheTemporaryRedirectTTL'].map((key) => `backend.${key}`),
  ...['putConcurrentChunkCount', 'putChunkSize', 'putTimeout', 'enableHickoryDNS'].map((key) => `backend.${key}`),
  ...['persistentTaskTTL', 'persistentCacheTaskTTL', 'pageCacheIdleTimeout'].map((key) => `gc.policy.${key}`),
  'proxy.readBufferSize',
];

export interface ReadDfdaemonConfigOptions {
  /** File; undefined for an empty configuration. */
  readonly path?: string | undefined;
  /** The YAML itself, instead of a file. */
  readonly text?: string | undefined;
  /** A missing file counts as empty. */
  readonly optional?: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the process; decides on default directories. */
  readonly uid?: number | undefined;
}

/**
 * Reads the configuration of a daemon or a seed peer.
 * @throws {ConfigError}
 */
export function readDfdaemonConfig(options: ReadDfdaemonConfigOptions): ConfigRead<DfdaemonConfig> {
  const { config, warnings } = readConfig({
    path: options.path,
    text: options.text,
    optional: options.optional ?? false,
    schema: dfdaemonSchema(defaultDirectories(options.uid, options.env)),
    aliases: ALIASES,
    knownElsewhere: KNOWN_ELSEWHERE,
    env: options.env,
  });
  const name = options.path ?? 'configuration';
  const { diskLowThresholdPercent: low, diskHighThresholdPercent: high } = config.gc.policy;
  if (low >= high) {
    throw new ConfigError([
      `${name}: gc.policy.diskLowThresholdPercent: ${low} must be less than diskHighThresholdPercent ${high}`,
    ]);
  }
  const tlsProblem = tlsProblemOf(config);
  if (tlsProblem !== undefined) throw new ConfigError([`${name}: ${tlsProblem}`]);
  const { caCert, caKey } = config.proxy.server;
  if ((caCert === undefined) !== (caKey === undefined)) {
    throw new ConfigError([`${name}: proxy.server: expected both caCert and caKey, or neither`]);
  }
  for (const [index, { url, host, username, password }] of config.proxy.registries.entries()) {
    const key = `${name}: proxy.registries[${index}]`;
    if (url === undefined && host === undefined) throw new ConfigError([`${key}: expected url or host`]);
    if ((username === undefined) !== (password === undefined)) {
      throw new ConfigError([`${key}: expected username and password together`]);
    }
  }
  return { config, warnings };
}
