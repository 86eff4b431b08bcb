import { context, createTraceState, isSpanContextValid, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Attributes, Context, Span, SpanKind, Tracer } from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { isError } from './is-error.ts';
import { safeText } from './redact.ts';
import { OFF_SPAN, OFF_TRACER } from './telemetry.ts';

export interface SpanChoices {
  readonly attributes?: Attributes;
  readonly kind?: SpanKind;
  /** Instead of the current context. */
  readonly parent?: Context | undefined;
}

/**
 * Runs `fn` in a span that is current meanwhile and ends when its promise settles, as an error when it rejects. With tracing off
 * this is a plain call.
 */
export function withSpan<T>(
  tracer: Tracer,
  name: string,
  { attributes, kind, parent }: SpanChoices,
  fn: (span: Span) => Promise<T>,
): Promise<T> {
  if (tracer === OFF_TRACER) return fn(OFF_SPAN);
  const outer = parent ?? context.active();
  const span = tracer.startSpan(
    name,
    { ...(attributes && { attributes }), ...(kind !== undefined && { kind }) },
    outer,
  );
  return context.with(trace.setSpan(outer, span), async () => {
    try {
      return await fn(span);
    } catch (error) {
      failSpan(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Marks a span as failed, with the sentence of the error but no secrets of it. */
export function failSpan(span: Span, error: unknown): void {
  const message = safeText(isError(error) ? error.message : String(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code === 'string') span.setAttribute('error.type', code);
}

/** The current span as a W3C `traceparent`, for protocols that carry it themselves; undefined outside of a trace. */
export function currentTraceparent(): string | undefined {
  return traceparentOf(context.active());
}

/** The span of a context as a W3C `traceparent`. */
export function traceparentOf(current: Context): string | undefined {
  const span = trace.getSpanContext(current);
  if (span === undefined || !isSpanContextValid(span)) return undefined;
  return `00-${span.traceId}-${span.spanId}-0${(span.traceFlags & 1).toString(16)}`;
}

/** A context whose current span is the remote one named by `traceparent`; undefined when there is none or it is malformed. */
export function contextFromTraceparent(
  traceparent: string | null | undefined,
  tracestate?: string | null,
): Context | undefined {
  const parent = traceparent ? parseTraceParent(traceparent) : null;
  if (parent === null) return undefined;
  return trace.setSpanContext(ROOT_CONTEXT, {
    ...parent,
    isRemote: true,
    ...(tracestate ? { traceState: createTraceState(tracestate) } : {}),
  });
}
