import { collectDefaultMetrics, Registry } from 'prom-client';
import type { HttpHandler } from '../listener/http-handler.ts';

/** The metrics of one service: its own registry, so that several services of one process stay apart. */
export interface Metrics {
  /** Make counters, gauges and histograms with `registers: [registry]`. */
  readonly registry: Registry;
}

/** @param options.processMetrics CPU, memory, event loop and file descriptors of the process; on unless false */
export function createMetrics({ processMetrics = true }: { processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (processMetrics) collectDefaultMetrics({ register: registry });
  return { registry };
}

/** Answers GET /metrics in Prometheus' text format. */
export function metricsHandler({ registry }: Metrics): HttpHandler {
  return async (_request, response) => {
    const text = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(text);
  };
}
