import { Code } from '@connectrpc/connect';
import type { Registry } from 'prom-client';
import { TalliedCounter } from '../observe/tallied-counter.ts';

/** Counters of one method of one service. */
export interface MethodMetrics {
  started(): void;
  received(): void;
  sent(): void;
  /** @param code undefined for success */
  handled(code: Code | undefined): void;
}

const KINDS = {
  unary: 'unary',
  server_streaming: 'server_stream',
  client_streaming: 'client_stream',
  bidi_streaming: 'bidi_stream',
} as const;
const LABELS = ['grpc_type', 'grpc_service', 'grpc_method'] as const;

/** The usual gRPC counters (`grpc_server_started_total`, `…_handled_total{grpc_code}`, `…_msg_received_total`, `…_msg_sent_total`). */
export function createCallMetrics(registry: Registry, side: 'server' | 'client') {
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): TalliedCounter<L> =>
    (registry.getSingleMetric(name) as TalliedCounter<L> | undefined) ??
    new TalliedCounter({ name, help, labelNames: [...labelNames], registers: [registry] });
  const started = counter(`grpc_${side}_started_total`, 'RPCs begun', LABELS);
  const handled = counter(`grpc_${side}_handled_total`, 'RPCs ended, by code', [...LABELS, 'grpc_code']);
  const received = counter(`grpc_${side}_msg_received_total`, 'messages received', LABELS);
  const sent = counter(`grpc_${side}_msg_sent_total`, 'messages sent', LABELS);
  const byMethod = new Map<string, MethodMetrics>();
  return (service: string, method: string, kind: keyof typeof KINDS): MethodMetrics => {
    const key = `${service}/${method}`;
    let metrics = byMethod.get(key);
    if (metrics === undefined) {
      const labels = { grpc_type: KINDS[kind], grpc_service: service, grpc_method: method };
      const handledWell = handled.tally({ ...labels, grpc_code: 'OK' });
      metrics = {
        started: started.tally(labels),
        received: received.tally(labels),
        sent: sent.tally(labels),
        handled: (code) => {
          if (code === undefined) handledWell();
          else handled.inc({ ...labels, grpc_code: Code[code] ?? 'Unknown' });
        },
      };
      byMethod.set(key, metrics);
    }
    return metrics;
  };
}
