import * as http from 'node:http';
import { systemCodeOf } from './system-code.ts';

const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

export interface SocketRequest {
  readonly path: string;
  /** Sent as JSON by POST; GET without one. */
  readonly body?: unknown;
}

/**
 * Asks a daemon of ours over HTTP at its socket.
 * @returns status and body; undefined when it does not speak HTTP/1 there: it is a stock one
 * @throws when it cannot be reached, does not answer in time or says too much
 */
export async function askSocket(
  socketPath: string,
  { path, body }: SocketRequest,
  { signal }: { signal: AbortSignal },
): Promise<{ readonly status: number; readonly text: string } | undefined> {
  try {
    return await exchange(socketPath, path, body, signal);
  } catch (error) {
    if (isOtherProtocol(error)) return undefined;
    throw error;
  }
}

async function exchange(socketPath: string, path: string, body: unknown, signal: AbortSignal) {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    accept: 'application/json',
    ...(sent === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(sent)) }),
  };
  const method = sent === undefined ? 'GET' : 'POST';
  const request = http.request({ socketPath, path, method, headers, agent: false, signal }, resolve);
  request.once('error', reject);
  request.end(sent);
  const response = await promise;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`more than ${MAX_ANSWER_BYTES} bytes`); // ends the iteration, which hangs up
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
}

/** A server of HTTP/2 alone answers HTTP/1 in its own language, or hangs up. */
function isOtherProtocol(error: unknown): boolean {
  const code = systemCodeOf(error) ?? '';
  return code.startsWith('HPE_') || code === 'ECONNRESET';
}
