import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import type { Attributes, Context, Span, SpanOptions, Tracer } from '@opentelemetry/api';
import { describe, expect, it } from '@jest/globals';
import { active, anonymous, collect, pattern } from '@d7y/peer-engine/conformance';
import { serveContent, startServer, testClient } from './_origin-server.ts';

interface RecordedSpan {
  readonly name: string;
  readonly attributes: Attributes;
  ends: number;
  failed: boolean;
}

/** A tracer that keeps its spans. */
function recordingTracer(): Tracer & { spans: RecordedSpan[] } {
  const spans: RecordedSpan[] = [];
  const startSpan = (name: string, options: SpanOptions = {}, _context?: Context): Span => {
    const recorded: RecordedSpan = { name, attributes: { ...options.attributes }, ends: 0, failed: false };
    spans.push(recorded);
    const none = trace.wrapSpanContext({ traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 1 });
    const span: Span = Object.assign(Object.create(none) as Span, {
      setAttribute: (key: string, value: string | number) => {
        recorded.attributes[key] = value;
        return span;
      },
      setStatus: () => {
        recorded.failed = true;
        return span;
      },
      end: () => void recorded.ends++,
    });
    return span;
  };
  return { spans, startSpan, startActiveSpan: () => expect(ROOT_CONTEXT).toBeUndefined() as never };
}

describe('the trace of an origin request', () => {
  it('has one span for each request, with what was asked and answered, and no secret', async () => {
    const tracer = recordingTracer();
    const bytes = pattern(1, 5000);
    await using server = await startServer((request, response) => {
      if (request.url?.startsWith('/blob')) response.writeHead(307, { location: '/target?sig=planted' }).end();
      else serveContent({ bytes }, request, response);
    });
    await using client = testClient({ tracer });
    await client
      .fetch(anonymous(`${server.url}/blob?token=planted`), { start: 0, length: 4000 }, active())
      .then(collect);
    await client.probe(anonymous(`${server.url}/target`), active());
    const { hostname, port } = new URL(server.url);
    const common = { 'http.request.method': 'GET', 'server.address': hostname, 'server.port': Number(port) };
    expect(tracer.spans).toEqual([
      {
        name: 'origin GET',
        attributes: { ...common, 'url.path': '/blob', 'http.response.status_code': 307, 'http.response.body.size': 0 },
        ends: 1,
        failed: false,
      },
      {
        name: 'origin GET',
        attributes: {
          ...common,
          'url.path': '/target',
          'http.response.status_code': 206,
          'http.response.body.size': 4000,
        },
        ends: 1,
        failed: false,
      },
      {
        name: 'origin GET',
        attributes: {
          ...common,
          'url.path': '/target',
          'http.response.status_code': 206,
          'http.response.body.size': 1,
        },
        ends: 1,
        failed: false,
      },
    ]);
    expect(JSON.stringify(tracer.spans)).not.toContain('planted');
    expect(server.requests.every(({ headers }) => headers['traceparent'] === undefined)).toBe(true);
  });

  it('says so when a request fails', async () => {
    const tracer = recordingTracer();
    await using server = await startServer((_request, response) => void response.destroy());
    await using client = testClient({ tracer, retry: { maxRetries: 1 } });
    await expect(client.probe(anonymous(server.url), active())).rejects.toThrow();
    expect(tracer.spans.map(({ ends, failed }) => ({ ends, failed }))).toEqual([
      { ends: 1, failed: true },
      { ends: 1, failed: true },
    ]);
  });
});
