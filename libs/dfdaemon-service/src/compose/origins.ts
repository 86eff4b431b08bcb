import { createOriginClient, type OriginClient } from '@d7y/origin-client';
import type { RegistryPolicy } from '@d7y/registry-proxy';
import { originTls, registryPolicies } from '../config/registry-policies.ts';
import { VERSION } from '../version.ts';
import type { Runtime } from './runtime.ts';

/** Where content comes from in the first place. */
export interface Origins {
  readonly origin: OriginClient;
  /** How single registries are reached, by `host` or `host:port`. */
  readonly policies: ReadonlyMap<string, RegistryPolicy>;
}

/** @throws {StartError} a certificate cannot be read */
export async function createOrigins({ config, logger, telemetry, stack }: Runtime): Promise<Origins> {
  const policies = await registryPolicies(config);
  const origin = stack.use(
    createOriginClient({
      logger,
      tracer: telemetry.tracer,
      tls: originTls(policies),
      userAgent: `dragonfly/${VERSION}`,
      retry: { maxRetries: config.backend.maxRetries },
    }),
  );
  return { origin, policies };
}
