import { gunzipSync } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import {
  type AnyValue,
  ExportTraceServiceRequestSchema,
  type KeyValue,
} from '../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.ts';

/** A value of an attribute as a test compares it; integers become numbers. */
export type AttributeValue = string | number | boolean | readonly AttributeValue[];

/** One span as a trace backend would store it. */
export interface ReceivedSpan {
  /** `service.name` of the resource. */
  readonly service: string;
  readonly name: string;
  /** Lower-case hex. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  /** 0 unset, 1 ok, 2 error. */
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly resource: Readonly<Record<string, AttributeValue>>;
  /** Spans this one names without being their child. */
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
}

/**
 * Reads the body of one OTLP/HTTP export in protobuf.
 * @param contentEncoding gzip or nothing
 * @throws when the body is no such message
 */
export function decodeSpans(body: Uint8Array, contentEncoding?: string): ReceivedSpan[] {
  const bytes = contentEncoding === 'gzip' ? gunzipSync(body) : body;
  const request = fromBinary(ExportTraceServiceRequestSchema, bytes);
  return request.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const resourceAttributes = toRecord(resource?.attributes ?? []);
    return scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        service: String(resourceAttributes['service.name'] ?? ''),
        name: span.name,
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId),
        kind: span.kind,
        startMs: Number(span.startTimeUnixNano) / 1e6,
        endMs: Number(span.endTimeUnixNano) / 1e6,
        statusCode: span.status?.code ?? 0,
        statusMessage: span.status?.message ?? '',
        attributes: toRecord(span.attributes),
        resource: resourceAttributes,
        links: span.links.map((link) => ({ traceId: hex(link.traceId), spanId: hex(link.spanId) })),
      })),
    );
  });
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}

function toRecord(attributes: readonly KeyValue[]): Record<string, AttributeValue> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, toValue(value)]));
}

function toValue(value: AnyValue | undefined): AttributeValue {
  const held = value?.value;
  switch (held?.case) {
    case undefined:
      return '';
    case 'intValue':
      return Number(held.value);
    case 'arrayValue':
      return held.value.values.map((element) => toValue(element));
    case 'stringValue':
    case 'boolValue':
    case 'doubleValue':
      return held.value;
    default:
      return held satisfies never;
  }
}
