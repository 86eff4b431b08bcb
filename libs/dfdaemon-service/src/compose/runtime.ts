import type { EngineOptions } from '@d7y/peer-engine';
import { createClientInterceptors, createLogger, createMetrics, createTelemetry } from '@d7y/service-kit';
import { BufferPool, type Logger, type LogLevel, type Metrics, type Telemetry } from '@d7y/service-kit';
import type { DfdaemonConfig } from '../config/schema.ts';
import { type Identity, identityOf } from '../host/identity.ts';
import { VERSION } from '../version.ts';
import { type PeerTls, readPeerTls } from './peer-tls.ts';

/** Bytes of one buffer: reads and writes of this size keep the disk busy without a call per chunk. */
const BUFFER_BYTES = 256 * 1024;

/** What tests and the all-in-one program replace. */
export interface DfdaemonOverrides {
  readonly logger?: Logger;
  /** Name in logs and traces; `dfdaemon`, or `seed-peer` for a seed, unless given. */
  readonly name?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard metrics of the process, which in one process only one service should count. */
  readonly processMetrics?: boolean;
  readonly schedulerCheckIntervalMs?: number;
  readonly seedIntervalMs?: number;
  readonly engine?: Partial<EngineOptions>;
}

/** What every part of a daemon is built with: who it is, where it reports, how long it lives. */
export interface Runtime {
  readonly config: DfdaemonConfig;
  readonly overrides: DfdaemonOverrides;
  readonly identity: Identity;
  /** In logs and traces. */
  readonly name: string;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  readonly tls: PeerTls;
  /** For gRPC clients. */
  readonly interceptors: ReturnType<typeof createClientInterceptors>;
  /** Aborts when the daemon stops. */
  readonly lifetime: AbortController;
  /** What listeners bind to unless told otherwise. */
  readonly anyAddress: string;
  readonly startedAtMs: number;
  /** Where work comes in from others: shut all at once when the daemon stops, so that one does not take work while another ends its own. */
  readonly doors: AsyncDisposable[];
  /** Parts give back here what they took, in reverse order of taking it. */
  readonly stack: AsyncDisposableStack;
}

export function createRuntime(
  config: DfdaemonConfig,
  stack: AsyncDisposableStack,
  { overrides, logLevel }: { readonly overrides: DfdaemonOverrides; readonly logLevel: LogLevel | undefined },
): Runtime {
  const identity = identityOf(config, overrides.env ?? process.env);
  const name = overrides.name ?? (identity.isSeed ? 'seed-peer' : 'dfdaemon');
  const logger =
    overrides.logger ??
    createLogger({ name, level: logLevel ?? (config.verbose ? 'debug' : 'info'), console: config.console });
  const { tracing, host, network } = config;
  const telemetry = stack.use(
    createTelemetry({
      serviceName: `${name}-${identity.ip}`,
      endpoint: tracing.endpoint,
      protocol: tracing.protocol,
      path: tracing.path,
      headers: tracing.headers,
      sampleRatio: tracing.sampleRatio,
      attributes: {
        'service.version': VERSION,
        'service.instance.id': identity.hostId,
        'host.name': identity.hostname,
        'host.ip': identity.ip,
        'host.seed_peer': identity.isSeed,
        ...(host.idc === undefined ? {} : { 'host.idc': host.idc }),
        ...(host.location === undefined ? {} : { 'host.location': host.location }),
      },
    }),
  );
  const metrics = createMetrics({ processMetrics: overrides.processMetrics ?? true });
  return {
    ...{ config, overrides, identity, name, logger, telemetry, metrics, stack },
    tls: readPeerTls({ config, logger, stack }),
    interceptors: createClientInterceptors({ telemetry, metrics }),
    lifetime: new AbortController(),
    doors: [],
    anyAddress: network.enableIPv6 ? '::' : '0.0.0.0',
    startedAtMs: Date.now(),
  };
}

/** Notes a listener as a way in for work. */
export function openDoor<T extends AsyncDisposable>({ doors, stack }: Runtime, listener: T): T {
  doors.push(listener);
  return stack.use(listener);
}

/** A part of the memory for bytes in flight; the shares of all pools add up to one. */
export function bufferPool({ config }: Runtime, share: number, bufferBytes = BUFFER_BYTES): BufferPool {
  return new BufferPool({
    bufferBytes,
    maxBuffers: Math.max(8, Math.floor((config.memory.bufferBytes * share) / bufferBytes)),
  });
}
