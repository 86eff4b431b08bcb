import * as http from 'node:http';
import * as https from 'node:https';

/** Programs that ask hold the answer in memory. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

export interface HttpQuestion extends Pick<
  https.RequestOptions,
  'protocol' | 'host' | 'port' | 'socketPath' | 'path' | 'method' | 'ca'
> {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** Asks once, over a connection of its own. @throws when there is no answer, or too much of one */
export async function askHttp(
  { body, headers, ...target }: HttpQuestion,
  { signal }: { signal: AbortSignal },
): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const all = {
    accept: 'application/json',
    ...headers,
    ...(sent !== undefined && {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(sent)),
    }),
  };
  const { request } = target.protocol === 'https:' ? https : http;
  const asking = request({ ...target, headers: all, agent: false, signal }, resolve);
  asking.once('error', reject);
  asking.end(sent);
  const response = await promise;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`more than ${MAX_ANSWER_BYTES} bytes`); // ends the iteration, which hangs up
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() };
}
