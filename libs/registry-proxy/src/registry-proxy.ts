import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Origin, TaskOpener } from '@d7y/peer-engine';
import type { UpstreamGuard } from '@d7y/service-kit';
import type { Tracer } from '@opentelemetry/api';
import type { HeadOrigin } from './access/access-policy.ts';
import type { ProxyCredentials } from './admission/proxy-auth.ts';
import type { RouteExplanation } from './explain-route.ts';
import type { BlockListSource } from './block-lists.ts';
import type { ProxyRule, RegistryProxyConfig } from './config.ts';
import type { CertificateAuthority } from './intercept/authority.ts';
import type { TagDirectory } from './manifests/tag-directory.ts';
import type { ProxyMetrics } from './metrics.ts';
import type { RegistryKnowledge } from './registry-knowledge.ts';
import type { ProxyLogger } from './request-log.ts';
import { RequestHandler } from './request-handler.ts';

export interface RegistryProxyOptions {
  readonly engine: TaskOpener;
  /** Asked whether content is public, and whether it accepts a caller. */
  readonly origin: Origin & HeadOrigin;
  readonly config: RegistryProxyConfig;
  /** Shared with whoever else in this process decides for callers, so that the origin is asked once; an own one unless given. */
  readonly knowledge?: RegistryKnowledge;
  /** What other daemons know of tags; nothing unless given. */
  readonly tagDirectory?: TagDirectory | undefined;
  /** The first that matches decides; what none matches passes straight through. */
  readonly rules: readonly ProxyRule[];
  /** Which upstreams may be reached; shared with the origin client. Everything but metadata services and the like unless given. */
  readonly guard?: UpstreamGuard;
  /** Downloads that are refused; none unless given. */
  readonly blockLists?: BlockListSource | undefined;
  /** Asked of every client; nobody is asked unless given. */
  readonly credentials?: ProxyCredentials | undefined;
  /** Signs for intercepted hosts; without one every CONNECT is a plain tunnel. */
  readonly authority?: CertificateAuthority | undefined;
  readonly logger: ProxyLogger;
  readonly tracer: Tracer;
  readonly metrics: ProxyMetrics;
}

/** The proxy in front of the engine, as a request handler of node:http. */
export interface RegistryProxy extends AsyncDisposable {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** For the event of the same name. @param serve takes over a socket that carries decrypted requests */
  readonly connect: (request: IncomingMessage, socket: Socket, head: Buffer, serve: (socket: Duplex) => void) => void;
  /** @see explainRoute */
  explain(url: string): RouteExplanation;
}

export function createRegistryProxy(options: RegistryProxyOptions): RegistryProxy {
  const handler = new RequestHandler(options);
  return {
    handle: (request, response) => void handler.handle(request, response),
    connect: (request, socket, head, serve) => void handler.connect.handle(request, socket, head, serve),
    explain: (url) => handler.explain(url),
    [Symbol.asyncDispose]: () => handler[Symbol.asyncDispose](),
  };
}
