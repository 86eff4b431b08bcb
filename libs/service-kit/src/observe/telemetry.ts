import { context, INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api';
import type { Attributes, Span, Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { StartError } from '../lifecycle/start-error.ts';
import { Secret } from './secret.ts';

export interface TelemetryOptions {
  readonly serviceName: string;
  /** Resource attributes of this instance: host.name, host.ip … */
  readonly attributes?: Attributes;
  /** `host:port` or a URL; without one (and without OTEL_EXPORTER_OTLP_ENDPOINT in `env`) tracing is off. */
  readonly endpoint?: string | undefined;
  /** Of an endpoint without scheme. OTLP over HTTP in protobuf in both cases. */
  readonly protocol?: 'http' | 'https' | 'grpc' | undefined;
  /** Of an endpoint without path. */
  readonly path?: string | undefined;
  readonly headers?: Readonly<Record<string, string | Secret>>;
  /** Share of traces begun here that are recorded, 0…1; a trace begun elsewhere follows its parent. */
  readonly sampleRatio?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Tracing of one service: its own provider, so that several services of one process stay apart. */
export interface Telemetry extends AsyncDisposable {
  /** False: `tracer` does nothing, at next to no cost. */
  readonly enabled: boolean;
  readonly tracer: Tracer;
  /** Sends what is buffered, for at most 3 s. Never rejects. Further spans are dropped. */
  shutdown(): Promise<void>;
}

const SHUTDOWN_MS = 3_000;
const EXPORT_TIMEOUT_MS = 3_000; // not longer than shutdown waits: a request under way would hold the process

/** The span of a tracer that is off; all its methods do nothing. */
export const OFF_SPAN: Span = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

/** The tracer of telemetry that is off. */
export const OFF_TRACER: Tracer = {
  startSpan: () => OFF_SPAN,
  startActiveSpan: (_name: string, ...rest: unknown[]) => (rest.at(-1) as (span: Span) => never)(OFF_SPAN),
};

const OFF: Telemetry = {
  enabled: false,
  tracer: OFF_TRACER,
  shutdown: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** Telemetry that is off, for tests and tools. */
export const noTelemetry = (): Telemetry => OFF;

/** @throws {StartError} for an endpoint that cannot be used; never for one that does not answer */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const url = endpointUrl(options);
  if (url === undefined) return OFF;
  // The one global: which span is current must cross libraries that do not know each other. The first call wins, all are equal.
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const exporter = new OTLPTraceExporter({
    url,
    timeoutMillis: EXPORT_TIMEOUT_MS,
    headers: Object.fromEntries(
      Object.entries(options.headers ?? {}).map(([name, value]) => [
        name,
        value instanceof Secret ? value.reveal() : value,
      ]),
    ),
  });
  const { sampleRatio = 1 } = options;
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': options.serviceName,
      'service.namespace': 'dragonfly',
      ...options.attributes,
    }),
    sampler: new ParentBasedSampler({
      root: sampleRatio >= 1 ? new AlwaysOnSampler() : new TraceIdRatioBasedSampler(sampleRatio),
    }),
    spanProcessors: [
      new BatchSpanProcessor({ exporter, scheduledDelayMillis: 1_000, exportTimeoutMillis: EXPORT_TIMEOUT_MS }),
    ],
  });
  let stopping: Promise<void> | undefined;
  const shutdown = () => (stopping ??= within(SHUTDOWN_MS, provider.shutdown()));
  return { enabled: true, tracer: provider.getTracer('d7y'), shutdown, [Symbol.asyncDispose]: shutdown };
}

function endpointUrl({
  endpoint,
  protocol = 'http',
  path = '/v1/traces',
  env = process.env,
}: TelemetryOptions): string | undefined {
  if (endpoint === undefined || endpoint === '') {
    const base = env['OTEL_EXPORTER_OTLP_ENDPOINT'];
    // By its definition the variable names a base to which the path is added.
    return env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || (base ? `${base.replace(/\/+$/, '')}/v1/traces` : undefined);
  }
  if (protocol === 'grpc')
    throw new StartError(
      'tracing.protocol: grpc is not offered, choose http with the OTLP/HTTP port of the collector (4318)',
    );
  const url = URL.parse(/^[a-z]+:\/\//i.test(endpoint) ? endpoint : `${protocol}://${endpoint}`);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new StartError('tracing.endpoint: not host:port or an http URL, write for example collector:4318');
  if (url.pathname === '/') url.pathname = path;
  return url.href;
}

/** Waits for the work, but not long and not for its outcome. */
function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    work.then(done, done);
  });
}
