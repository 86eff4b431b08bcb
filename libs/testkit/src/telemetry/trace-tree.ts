import type { ReceivedSpan } from './spans.ts';

/** A span with the spans below it, in order of their start. */
export interface SpanNode {
  readonly span: ReceivedSpan;
  readonly children: readonly SpanNode[];
}

/**
 * Joins the spans of one trace by parent. Roots are the spans without a parent and those whose parent has not arrived: a complete
 * trace has one root.
 */
export function traceTree(spans: readonly ReceivedSpan[]): SpanNode[] {
  const byParent = Map.groupBy(spans, (span) => span.parentSpanId);
  const known = new Set(spans.map((span) => span.spanId));
  const node = (span: ReceivedSpan): SpanNode => ({
    span,
    children: inOrder(byParent.get(span.spanId) ?? []).map(node),
  });
  return inOrder(spans.filter((span) => !known.has(span.parentSpanId))).map(node);
}

/** The tree as text, one line per span, for the message of a failed expectation. */
export function formatTree(nodes: readonly SpanNode[], indent = ''): string {
  return nodes
    .map(({ span, children }) => {
      const line = `${indent}${span.service}: ${span.name} (${Math.round(span.endMs - span.startMs)} ms)`;
      return [line, formatTree(children, `${indent}  `)].filter((text) => text !== '').join('\n');
    })
    .join('\n');
}

function inOrder(spans: readonly ReceivedSpan[]): ReceivedSpan[] {
  return [...spans].sort((a, b) => a.startMs - b.startMs);
}
