import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { UpstreamRefusedError } from '@d7y/service-kit';
import type { Dispatcher } from 'undici';
import type { RegistryProxyConfig } from './config.ts';
import { UpstreamUnreachableError } from './errors.ts';
import { endToEndHeaders } from './http-headers.ts';
import type { UpstreamAgents } from './upstream-agents.ts';

/** What the upstream is asked: the client's request, with the headers that the upstream may see. */
export interface Carried {
  readonly request: IncomingMessage;
  readonly headers: IncomingHttpHeaders;
  readonly upstream: URL;
  /** What an answer's headers become on their way back. */
  readonly rewrite?: ((status: number, headers: OutgoingHttpHeaders) => OutgoingHttpHeaders) | undefined;
}

/** Carries requests to their upstream and the answers back as they are, neither ever whole in memory. */
export class PassThrough {
  readonly #config: Pick<RegistryProxyConfig, 'upstreamHeaderTimeoutMs' | 'upstreamIdleTimeoutMs'>;
  readonly #agents: UpstreamAgents;

  constructor(
    config: Pick<RegistryProxyConfig, 'upstreamHeaderTimeoutMs' | 'upstreamIdleTimeoutMs'>,
    agents: UpstreamAgents,
  ) {
    this.#config = config;
    this.#agents = agents;
  }

  /**
   * Answers `response` with what the upstream says to the request.
   * @returns status, WWW-Authenticate and bytes of the answer's body
   * @throws {UpstreamUnreachableError} no answer: nothing was sent to the client yet. What breaks later destroys the
   * client's connection, so that nobody takes a part for the whole.
   * @throws {UpstreamRefusedError}
   */
  async carry(
    carried: Carried,
    response: ServerResponse,
    { signal }: { signal: AbortSignal },
  ): Promise<{ readonly status: number; readonly challenge: string | undefined; readonly bytes: number }> {
    const answer = await this.#ask(carried, signal);
    let bytes = 0;
    const answered = endToEndHeaders(answer.headers);
    response.writeHead(answer.statusCode, carried.rewrite?.(answer.statusCode, answered) ?? answered);
    try {
      await pipeline(
        answer.body,
        async function* (chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            bytes += chunk.byteLength;
            yield chunk;
          }
        },
        response,
        { signal },
      );
    } catch (error) {
      response.destroy();
      throw error;
    }
    const challenge = answer.headers['www-authenticate'];
    return {
      status: answer.statusCode,
      challenge: Array.isArray(challenge) ? challenge.join(', ') : challenge,
      bytes,
    };
  }

  async #ask(carried: Carried, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { request, upstream } = carried;
    const headers = endToEndHeaders(carried.headers);
    const hasBody =
      request.headers['transfer-encoding'] !== undefined || (request.headers['content-length'] ?? '0') !== '0';
    // Both are about the hop from the client to here: undici names the upstream, Node has answered the expectation.
    delete headers['host'];
    delete headers['expect'];
    try {
      return await this.#agents.for(upstream).request({
        origin: upstream.origin,
        path: `${upstream.pathname}${upstream.search}`,
        method: request.method ?? 'GET',
        headers: headers as Record<string, string | string[]>,
        body: hasBody ? request : null,
        signal,
        headersTimeout: this.#config.upstreamHeaderTimeoutMs,
        bodyTimeout: this.#config.upstreamIdleTimeoutMs,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UpstreamRefusedError) throw error;
      throw new UpstreamUnreachableError(upstream.origin, reasonOf(error), { cause: error });
    }
  }
}

/** What went wrong, in words that fit in a log line. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return [code, message].filter((part) => typeof part === 'string' && part !== '').join(': ') || 'no answer';
}
