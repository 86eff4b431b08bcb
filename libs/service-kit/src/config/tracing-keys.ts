import { z } from 'zod';
import type { TelemetryOptions } from '../observe/telemetry.ts';
import { secretString } from './fields.ts';

/** Keys of `tracing`, the same for all services that are named in it. @param serviceName unless the file says another */
export const tracingKeys = (serviceName: string) => ({
  protocol: z.enum(['', 'http', 'https', 'grpc']).default('').describe('of the OTLP collector'),
  endpoint: z.string().default('').describe('`host:port` or URL of the collector; empty: no traces'),
  path: z.string().default('/v1/traces').describe('for http and https'),
  'service-name': z.string().min(1).default(serviceName).describe('resource attribute'),
  headers: z.record(z.string(), secretString()).default({}).describe('sent to the collector'),
});

/** As a file says it. */
export type WrittenTracing = z.output<z.ZodObject<ReturnType<typeof tracingKeys>>>;

/** Where traces go; what is empty is not given. */
export const tracingOf = ({
  protocol,
  endpoint,
  path,
  'service-name': serviceName,
  headers,
}: WrittenTracing): Pick<TelemetryOptions, 'serviceName' | 'endpoint' | 'protocol' | 'path' | 'headers'> => ({
  ...{ serviceName, path, headers },
  endpoint: endpoint || undefined,
  protocol: protocol || undefined,
});
