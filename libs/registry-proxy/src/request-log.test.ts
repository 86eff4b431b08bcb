import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { type Context, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace, type Tracer } from '@opentelemetry/api';
import { CountingMetrics } from './_fakes.ts';
import { loggableTarget, RequestLog } from './request-log.ts';

describe('loggableTarget', () => {
  it('keeps path and query as received', () => {
    expect(loggableTarget('/v2/a/blobs/sha256:1?ns=ghcr.io')).toBe('/v2/a/blobs/sha256:1?ns=ghcr.io');
    expect(loggableTarget('/v2/')).toBe('/v2/');
  });

  it('hides the values of parameters that sign or authorise', () => {
    expect(loggableTarget('/x?X-Amz-Signature=planted&a=1&access_token=planted&X-Amz-Credential=planted')).toBe(
      '/x?X-Amz-Signature=***&a=1&access_token=***&X-Amz-Credential=***',
    );
    expect(loggableTarget('http://me:planted@host.test/a?b')).toBe('http://***@host.test/a?b');
    expect(loggableTarget('me:planted@host.test:443')).toBe('***@host.test:443');
    expect(loggableTarget('/me@host/x')).toBe('/me@host/x');
    expect(loggableTarget('/x?%58-Amz-Signature=planted')).toBe('/x?%58-Amz-Signature=***');
  });
});

describe('RequestLog', () => {
  it("has its span in the client's own trace, where it has one", () => {
    const parents: Context[] = [];
    const tracer: Tracer = {
      startSpan: (_name, _options, parent) => {
        parents.push(parent ?? ROOT_CONTEXT);
        return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
      },
      startActiveSpan: () => {
        throw new Error('a request ends when its answer does');
      },
    };
    const logger = { info: () => undefined, warn: () => undefined };
    const begin = (headers: Record<string, string>): unknown =>
      new RequestLog({ method: 'GET', url: '/v2/', headers } as IncomingMessage, tracer, logger, new CountingMetrics());
    begin({ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` });
    begin({ traceparent: 'nonsense' });
    begin({});
    expect(parents.map((parent) => trace.getSpanContext(parent)?.traceId)).toEqual([
      'a'.repeat(32),
      undefined,
      undefined,
    ]);
  });
});
