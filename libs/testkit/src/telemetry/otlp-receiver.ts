import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { listenHttp } from '../http/listen-http.ts';
import { type ReceivedSpan, decodeSpans } from './spans.ts';
import { type SpanNode, traceTree } from './trace-tree.ts';

/** Stands in for a trace backend: collects what is exported to it over OTLP/HTTP in protobuf. */
export interface OtlpReceiver extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`: the endpoint, to which exporters add `/v1/traces`. */
  readonly endpoint: string;
  readonly host: string;
  readonly spans: readonly ReceivedSpan[];
  /** Bodies as they came, unpacked: where a test looks for what must never be exported. */
  readonly bodies: readonly Buffer[];
  /** Spans of one trace, in order of arrival. */
  trace(traceId: string): ReceivedSpan[];
  /** The same as a tree; a complete trace has one root. */
  tree(traceId: string): SpanNode[];
  /** Ids of the traces in which a span satisfies the condition: what a search in a trace backend answers. */
  search(condition: (span: ReceivedSpan) => boolean): string[];
}

/** Starts a receiver in this process. Anything but a readable export of spans is answered with 400 and not kept. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const bodies: Buffer[] = [];
  const server = await listenHttp((request, response) => {
    const receive = async () => {
      const body = await buffer(request);
      if (request.method !== 'POST' || request.url !== '/v1/traces') return 404;
      if (request.headers['content-type'] !== 'application/x-protobuf') return 415;
      spans.push(...decodeSpans(body, request.headers['content-encoding']));
      bodies.push(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body);
      return 200;
    };
    receive().then(
      (status) => response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end(),
      (error: unknown) => response.writeHead(400).end(String(error)),
    );
  });
  const trace = (traceId: string) => spans.filter((span) => span.traceId === traceId);
  return {
    endpoint: server.url,
    host: server.host,
    spans,
    bodies,
    trace,
    tree: (traceId) => traceTree(trace(traceId)),
    search: (condition) => [...new Set(spans.filter(condition).map((span) => span.traceId))],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
