import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { UpstreamGuard } from '@d7y/service-kit';
import type { Tracer } from '@opentelemetry/api';
import type { ProxyAuth } from '../admission/proxy-auth.ts';
import type { RequestRate } from '../admission/request-rate.ts';
import { ProxyRequestError } from '../errors.ts';
import type { Interception } from '../intercept/interception.ts';
import type { LeafCertificates } from '../intercept/leaf-certificates.ts';
import type { ProxyMetrics } from '../metrics.ts';
import { refusalOf, sendRefusal } from '../refusal.ts';
import { type ProxyLogger, RequestLog } from '../request-log.ts';
import { CONNECT_TIMEOUT_MS } from '../upstream-agents.ts';
import { markIntercepted, tunnelOf } from './intercepted-sockets.ts';
import { connectUpstream, joinSockets } from './tunnel.ts';

/** Tunnels at a time; each holds two sockets. */
const MAX_TUNNELS = 4096;
/** How long a client may take for its first bytes, and for its TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 30_000;
const TLS_HANDSHAKE = 0x16;

export interface ConnectModeOptions {
  readonly guard: UpstreamGuard;
  readonly auth: ProxyAuth;
  readonly rate: RequestRate;
  readonly interception: Interception;
  /** Undefined: nothing is intercepted. */
  readonly certificates: LeafCertificates | undefined;
  readonly tunnelIdleTimeoutMs: number;
  readonly logger: ProxyLogger;
  readonly tracer: Tracer;
  readonly metrics: ProxyMetrics;
}

/** Where a CONNECT leads. */
interface Authority {
  readonly hostname: string;
  readonly port: number;
}

/**
 * CONNECT: a plain tunnel, or for hosts that are intercepted the inside of it, whose requests are answered like all others. Owner of the
 * sockets of tunnels until they are closed or handed on.
 */
export class ConnectMode {
  readonly #options: ConnectModeOptions;
  #tunnels = 0;

  constructor(options: ConnectModeOptions) {
    this.#options = options;
  }

  /**
   * Never rejects.
   * @param head what the client sent beyond its request
   * @param serve takes over a socket that carries decrypted requests
   */
  async handle(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    serve: (socket: TLSSocket) => void,
  ): Promise<void> {
    const { tracer, logger, metrics } = this.#options;
    const log = new RequestLog(request, tracer, logger, metrics);
    const left = new AbortController();
    const onLeft = (): void => left.abort(new Error('the client left'));
    socket.setTimeout(0);
    socket.on('error', onLeft).on('close', onLeft);
    log.mode('connect');
    let status: number | undefined;
    let failure: unknown;
    try {
      const authority = this.#admit(request);
      if (head.length > 0) socket.unshift(head);
      const context = this.#options.interception(authority.hostname, authority.port)
        ? await this.#options.certificates?.for(authority.hostname)
        : undefined;
      if (context === undefined) {
        log.direct('tunnel');
        const upstream = await this.#connect(authority, left.signal);
        status = 200;
        establish(socket);
        await this.#tunnel(socket, upstream);
      } else {
        status = 200;
        establish(socket);
        if (await beginsWithTls(socket, left)) {
          log.direct('intercepted');
          const inside = await handshake(socket, context, left);
          markIntercepted(inside, request.url ?? '');
          serve(inside);
        } else {
          log.direct('tunnel of what is no TLS');
          await this.#tunnel(socket, await this.#connect(authority, left.signal));
        }
      }
    } catch (error) {
      failure = error;
      if (status !== undefined || left.signal.aborted) socket.destroy();
      else status = refuse(request, socket, error);
    }
    log.end({
      status,
      bytes: socket.bytesWritten,
      error: failure,
      clientLeft: left.signal.aborted,
    });
  }

  /** @throws {ProxyRequestError} @throws {UpstreamRefusedError} */
  #admit(request: IncomingMessage): Authority {
    const { guard, auth, rate } = this.#options;
    rate.admit();
    if (tunnelOf(request.socket) !== undefined) throw new ProxyRequestError(400, 'no CONNECT within a CONNECT');
    auth.admit(request.headers, 'connect');
    const [, hostname, port] =
      /^(\[[0-9a-f:.]{2,45}\]|[^\s:/?#@[\]\\]{1,253}):(\d{1,5})$/i.exec(request.url ?? '') ?? [];
    if (hostname === undefined || port === undefined || Number(port) > 65_535 || Number(port) === 0) {
      throw new ProxyRequestError(400, 'CONNECT asks for host:port');
    }
    guard.checkNamed(hostname, Number(port));
    return { hostname, port: Number(port) };
  }

  async #connect(authority: Authority, signal: AbortSignal): Promise<Socket> {
    if (this.#tunnels >= MAX_TUNNELS) throw new ProxyRequestError(503, `more than ${MAX_TUNNELS} tunnels at once`);
    this.#tunnels++;
    try {
      const upstream = await connectUpstream(authority, {
        guard: this.#options.guard,
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal,
      });
      upstream.once('close', () => this.#tunnels--);
      return upstream;
    } catch (error) {
      this.#tunnels--;
      throw error;
    }
  }

  #tunnel(client: Socket, upstream: Socket): Promise<void> {
    return joinSockets(client, upstream, this.#options.tunnelIdleTimeoutMs);
  }
}

function establish(socket: Socket): void {
  socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
}

/** Answers a CONNECT that leads nowhere. @returns the status */
function refuse(request: IncomingMessage, socket: Socket, error: unknown): number {
  const refusal = refusalOf(error);
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.on('finish', () => socket.destroySoon());
  sendRefusal(request, response, refusal, error);
  return refusal.status;
}

/** Looks at the first byte and leaves it where it is. @throws when the client sends none */
async function beginsWithTls(socket: Socket, left: AbortController): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const timer = setTimeout(() => reject(new Error('the client sent nothing')), HANDSHAKE_TIMEOUT_MS);
  const onGone = (): void => {
    left.abort();
    reject(new Error('the client left'));
  };
  socket.once('data', resolve).once('close', onGone).once('end', onGone);
  try {
    const first = await promise;
    socket.pause();
    socket.unshift(first);
    return first[0] === TLS_HANDSHAKE;
  } finally {
    clearTimeout(timer);
    socket.off('data', resolve).off('close', onGone).off('end', onGone);
  }
}

/** @throws when it fails, for instance because the client does not trust the certificate */
async function handshake(
  socket: Socket,
  secureContext: NonNullable<Awaited<ReturnType<LeafCertificates['for']>>>,
  left: AbortController,
): Promise<TLSSocket> {
  // A client that gives up says so by ending, which ends the whole connection then.
  socket.allowHalfOpen = false;
  const inside = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error('the TLS handshake took too long')), HANDSHAKE_TIMEOUT_MS);
  const onError = (error: Error): void => reject(new Error(`no TLS: ${error.message}`, { cause: error }));
  const onClose = (): void => {
    left.abort();
    reject(new Error('the client broke the TLS handshake off: it may not trust the certificate'));
  };
  inside.once('secure', resolve).once('error', onError).once('close', onClose);
  try {
    await promise;
    return inside;
  } catch (error) {
    inside.on('error', () => undefined).destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    inside.off('error', onError).off('close', onClose);
  }
}
