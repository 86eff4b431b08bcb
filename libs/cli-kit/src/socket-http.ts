import { askHttp } from './ask-http.ts';
import type { HttpAnswer } from './ask-http.ts';
import { systemCodeOf } from './system-code.ts';

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
): Promise<HttpAnswer | undefined> {
  try {
    return await askHttp({ socketPath, path, method: body === undefined ? 'GET' : 'POST', body }, { signal });
  } catch (error) {
    if (isOtherProtocol(error)) return undefined;
    throw error;
  }
}

/** A server of HTTP/2 alone answers HTTP/1 in its own language, or hangs up. */
function isOtherProtocol(error: unknown): boolean {
  const code = systemCodeOf(error) ?? '';
  return code.startsWith('HPE_') || code === 'ECONNRESET';
}
