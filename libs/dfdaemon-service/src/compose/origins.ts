import { createOriginClient } from '@d7y/origin-client';
import type { RegistryPolicy } from '@d7y/registry-proxy';
import { UpstreamGuard } from '@d7y/service-kit';
import { originTls, registryPolicies } from '../config/registry-policies.ts';
import { type AskedOrigin, countedOrigin } from '../observe/counted-origin.ts';
import type { DaemonMetrics } from '../observe/daemon-metrics.ts';
import { VERSION } from '../version.ts';
import type { Runtime } from './runtime.ts';

/** Where content comes from in the first place. */
export interface Origins {
  readonly origin: AskedOrigin;
  /** How single registries are reached, by `host` or `host:port`. */
  readonly policies: ReadonlyMap<string, RegistryPolicy>;
  /** Which upstreams are connected to, by whatever part of this daemon. */
  readonly guard: UpstreamGuard;
}

/** @throws {StartError} a certificate cannot be read */
export async function createOrigins(
  { config, logger, telemetry, stack }: Runtime,
  metrics: DaemonMetrics,
): Promise<Origins> {
  const policies = await registryPolicies(config);
  const guard = new UpstreamGuard(config.proxy.upstreams);
  const client = stack.use(
    createOriginClient({
      logger,
      tracer: telemetry.tracer,
      tls: originTls(policies),
      guard,
      userAgent: `dragonfly/${VERSION}`,
      retry: { maxRetries: config.backend.maxRetries },
    }),
  );
  return { origin: countedOrigin(client, metrics), policies, guard };
}
