import { once } from 'node:events';
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp, type ServerResponse } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, type FaultRule, FaultTable, type InjectedFault } from './faults.ts';
import { listenHttp } from './listen-http.ts';
import { type RecordedRequest, RequestLog } from './request-log.ts';
import { sendBody } from './send-body.ts';

export interface CountingProxyOptions {
  /** Where requests go: `http://127.0.0.1:5000`. */
  readonly upstream: string;
  /** Authority of an upstream that speaks TLS. */
  readonly upstreamCa?: string;
  /** Makes the proxy speak TLS itself. */
  readonly tls?: { cert: string; key: string };
}

/** Stands before a registry, counts what leaves it, and fails where it is told to. */
export interface CountingProxy extends AsyncDisposable {
  /** `127.0.0.1:<port>`: use it as the registry in image names. */
  readonly host: string;
  readonly url: string;
  readonly log: RequestLog;
  inject(rule: FaultRule): InjectedFault;
  /** Answers 503 to every GET of a blob until disposed. */
  blockBlobs(): InjectedFault;
}

/** Starts a reverse proxy in this process. It keeps the caller's Host header, so the registry's own links lead back through it. */
export async function startCountingProxy(options: CountingProxyOptions): Promise<CountingProxy> {
  const upstream = new URL(options.upstream);
  const secure = upstream.protocol === 'https:';
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, ca: options.upstreamCa })
    : new HttpAgent({ keepAlive: true });
  const log = new RequestLog();
  const faults = new FaultTable();

  const forward = (request: IncomingMessage, signal: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const target = {
        hostname: upstream.hostname,
        port: upstream.port,
        path: request.url,
        method: request.method,
        headers: request.headers,
        // Of the upstream: not what the caller's Host header says.
        servername: isIP(upstream.hostname) === 0 ? upstream.hostname : '',
        agent,
        signal,
      };
      const outgoing = secure ? requestHttps(target, resolve) : requestHttp(target, resolve);
      outgoing.once('error', reject);
      request.pipe(outgoing);
    });

  const relay = async (request: IncomingMessage, response: ServerResponse, entry: RecordedRequest): Promise<void> => {
    const fault = faults.take(entry.method, `${entry.path}${entry.query}`) ?? {};
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    if (fault.delayMs !== undefined) await delay(fault.delayMs, undefined, { signal: gone.signal });
    if (fault.after !== undefined) await Promise.race([fault.after, once(gone.signal, 'abort')]);
    if (fault.hang) return;
    if (fault.status !== undefined) {
      answerItself(response, entry, fault, fault.status);
      return;
    }
    const answer = await forward(request, gone.signal);
    entry.status = answer.statusCode ?? 0;
    placeBody(entry, answer);
    response.writeHead(entry.status, answer.statusMessage, changedHeaders(answer.headers, fault));
    await sendBody(answer as AsyncIterable<Buffer>, response, entry, fault);
  };

  const server = await listenHttp(
    (request, response) => {
      const entry = log.open(request);
      response.once('close', () => log.close(entry, response.writableFinished));
      relay(request, response, entry).catch(() => {
        // The client has gone, or the upstream: who still listens gets an answer that cannot be mistaken for a body.
        if (response.headersSent) response.destroy();
        else response.writeHead(502).end();
      });
    },
    options.tls === undefined ? {} : { tls: options.tls },
  );

  return {
    host: server.host,
    url: server.url,
    log,
    inject: (rule) => faults.inject(rule),
    blockBlobs: () => faults.inject({ path: /\/blobs\//, method: 'GET', fault: { status: 503 } }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      agent.destroy();
    },
  };
}

function answerItself(response: ServerResponse, entry: RecordedRequest, fault: Fault, status: number): void {
  entry.status = status;
  const headers = Object.entries(fault.headers ?? {}).filter(([, value]) => value !== null) as [string, string][];
  response.writeHead(status, Object.fromEntries(headers)).end(fault.body ?? '');
}

/** Notes which bytes of the resource this answer carries. */
function placeBody(entry: RecordedRequest, answer: IncomingMessage): void {
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers['content-range'] ?? '') ?? [];
  if (entry.status === 206 && start !== undefined) {
    entry.startByte = Number(start);
    entry.totalBytes = Number(total);
  } else if (entry.status === 200 && answer.headers['content-length'] !== undefined) {
    entry.totalBytes = Number(answer.headers['content-length']);
  }
}

function changedHeaders(headers: IncomingMessage['headers'], fault: Fault): IncomingMessage['headers'] {
  const changed: IncomingMessage['headers'] = { ...headers };
  for (const [name, value] of Object.entries(fault.headers ?? {})) {
    if (value === null) delete changed[name.toLowerCase()];
    else changed[name.toLowerCase()] = value;
  }
  return changed;
}
