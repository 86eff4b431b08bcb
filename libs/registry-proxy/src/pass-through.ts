import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { getCACertificates } from 'node:tls';
import { Agent, type Dispatcher } from 'undici';
import { policyFor, type RegistryProxyConfig } from './config.ts';
import { UpstreamUnreachableError } from './errors.ts';
import { endToEndHeaders } from './http-headers.ts';

/** Connections to one upstream at a time; more requests wait for one of them. */
const CONNECTIONS_PER_ORIGIN = 128;
const CONNECT_TIMEOUT_MS = 10_000;

/** Carries requests to their upstream and the answers back as they are, neither ever whole in memory. */
export class PassThrough implements AsyncDisposable {
  readonly #config: RegistryProxyConfig;
  /** One pool for each way of verifying certificates: the system's roots, a host's own, none. */
  readonly #agents = new Map<string, Agent>();

  constructor(config: RegistryProxyConfig) {
    this.#config = config;
  }

  /**
   * Answers `response` with what the upstream says to `request`.
   * @returns status and bytes of the answer's body
   * @throws {UpstreamUnreachableError} no answer: nothing was sent to the client yet. What breaks later destroys the
   * client's connection, so that nobody takes a part for the whole.
   */
  async carry(
    request: IncomingMessage,
    response: ServerResponse,
    upstream: URL,
    { signal }: { signal: AbortSignal },
  ): Promise<{ readonly status: number; readonly bytes: number }> {
    const answer = await this.#ask(request, upstream, signal);
    let bytes = 0;
    response.writeHead(answer.statusCode, endToEndHeaders(answer.headers));
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
    return { status: answer.statusCode, bytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }

  async #ask(request: IncomingMessage, upstream: URL, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const headers = endToEndHeaders(request.headers);
    const hasBody =
      request.headers['transfer-encoding'] !== undefined || (request.headers['content-length'] ?? '0') !== '0';
    // Both are about the hop from the client to here: undici names the upstream, Node has answered the expectation.
    delete headers['host'];
    delete headers['expect'];
    try {
      return await this.#agentFor(upstream).request({
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
      throw new UpstreamUnreachableError(upstream.origin, reasonOf(error), { cause: error });
    }
  }

  #agentFor(upstream: URL): Agent {
    const policy = upstream.protocol === 'https:' ? policyFor(this.#config.registries, upstream) : undefined;
    const key = policy?.insecure ? 'insecure' : (policy?.ca ?? 'system');
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      agent = new Agent({
        connections: CONNECTIONS_PER_ORIGIN,
        connect: {
          timeout: CONNECT_TIMEOUT_MS,
          ...(policy?.insecure ? { rejectUnauthorized: false } : {}),
          ...(policy?.ca === undefined ? {} : { ca: [...getCACertificates('default'), policy.ca] }),
        },
      });
      this.#agents.set(key, agent);
    }
    return agent;
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return [code, message].filter((part) => typeof part === 'string' && part !== '').join(': ') || 'no answer';
}
