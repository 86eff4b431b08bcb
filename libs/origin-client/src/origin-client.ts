import type { Origin, OriginBody, OriginProbe, OriginRequest } from '@d7y/peer-engine';
import type { ByteRange } from '@d7y/piece';
import { type Logger, type Secret, UpstreamGuard } from '@d7y/service-kit';
import type { Tracer } from '@opentelemetry/api';
import type { Authenticator } from './authenticator.ts';
import { byAuthorities } from './by-authorities.ts';
import { Dispatchers } from './dispatchers.ts';
import type { HostTls, Purpose } from './dispatchers.ts';
import { exchange } from './exchange.ts';
import type { ExchangeRequest } from './exchange.ts';
import { head } from './head.ts';
import type { HeadAnswer } from './head.ts';
import { OriginReader } from './origin-reader.ts';
import { probe } from './probe.ts';
import type { ProgressFloorOptions } from './progress-floor.ts';
import { RegistryTokens } from './registry-tokens.ts';
import { ReadBuffers } from './read-buffers.ts';
import { RefusingHosts } from './refusing-hosts.ts';
import { Requester } from './requester.ts';
import type { RetryPolicyOptions } from './retry-policy.ts';
import { RETRY_DEFAULTS } from './retry-policy.ts';
import { SharedProbes } from './shared-probes.ts';
import { TrustWorlds } from './trust-worlds.ts';

export interface OriginClientOptions {
  readonly logger: Logger;
  readonly tracer: Tracer;
  /** By `host:port`, or by `host` for all its ports. */
  readonly tls?: Readonly<Record<string, HostTls>>;
  /** Which addresses may be connected to. Everything but metadata services and the like unless given. */
  readonly guard?: UpstreamGuard;
  /** For callers who do not name themselves. */
  readonly userAgent?: string;
  /** What is not given is as in RETRY_DEFAULTS. */
  readonly retry?: Partial<RetryPolicyOptions>;
  /** Default 3 s. */
  readonly connectTimeoutMs?: number;
  /** From a request to the header of its answer. Default 15 s. */
  readonly headerTimeoutMs?: number;
  /** A body slower than this is broken off and resumed. Default 64 KiB/s over 5 s. */
  readonly progressFloor?: ProgressFloorOptions;
  /** Connections to one origin for content, at most. Default 64. */
  readonly maxConnectionsPerOrigin?: number;
  /** Default 10. */
  readonly maxRedirects?: number;
  /**
   * For callers who bring no token; by default what registries' token servers give, to anybody or for a password. Requests with
   * authorities of their own always get the latter.
   */
  readonly authenticator?: Authenticator;
}

/** An Origin over http and https; disposing it cuts what is under way. */
export interface OriginClient extends Origin, AsyncDisposable {
  /** @see head */
  head(request: OriginRequest, options: { signal: AbortSignal }): Promise<HeadAnswer>;
  /** The authorization that this client has got from the server for an account, and would use for this URL; for passing on to whoever fetches it. */
  knownAuthorization(url: URL, account: Secret | undefined): Secret | undefined;
}

export function createOriginClient(options: OriginClientOptions): OriginClient {
  // What it knows was learned from servers that everybody trusts.
  const { authenticator: _common, ...apart } = options;
  const create = (authorities: string): OriginClient => createClient(apart, authorities);
  return byAuthorities(createClient(options), new TrustWorlds({ create, logger: options.logger }));
}

/** @param authorities PEM, trusted at every host beside what is configured for it */
function createClient(options: OriginClientOptions, authorities?: string): OriginClient {
  const { tracer, headerTimeoutMs = 15_000 } = options;
  const retry: RetryPolicyOptions = { ...RETRY_DEFAULTS, ...options.retry };
  const floor = options.progressFloor ?? { minBytesPerSec: 64 * 1024, windowMs: 5_000 };
  const readBuffers = new ReadBuffers();
  const dispatchers = new Dispatchers({
    readBuffers,
    tls: options.tls ?? {},
    authorities,
    maxConnectionsPerOrigin: options.maxConnectionsPerOrigin ?? 64,
    connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
    guard: options.guard ?? new UpstreamGuard(),
  });
  const send = (request: ExchangeRequest, { signal }: { signal: AbortSignal }) =>
    exchange(
      request,
      { dispatcher: dispatchers.for(request.url, purposeOf(request)), tracer, floor, readBuffers, headerTimeoutMs },
      { signal },
    );
  const userAgent = options.userAgent ?? 'dragonfly';
  const authenticator =
    options.authenticator ??
    new RegistryTokens({
      get: (url, authorization, { signal }) => {
        const headers = {
          ...{ accept: 'application/json', 'user-agent': userAgent },
          ...(authorization === undefined ? {} : { authorization: authorization.reveal() }),
        };
        return send({ method: 'GET', url, headers }, { signal });
      },
      logger: options.logger,
      clock: retry.clock,
    });
  const requester = new Requester({
    exchange: send,
    authenticator,
    userAgent,
    maxRedirects: options.maxRedirects ?? 10,
  });

  const refusing = new RefusingHosts(retry.clock);
  const probes = new SharedProbes((request, { signal }) => probe(requester, retry, refusing, request, { signal }));

  return {
    probe: (request: OriginRequest, { signal }: { signal: AbortSignal }): Promise<OriginProbe> =>
      probes.ask(request, { signal }),
    head: (request: OriginRequest, { signal }: { signal: AbortSignal }): Promise<HeadAnswer> =>
      head(requester, request, { signal }),
    fetch: async (
      request: OriginRequest,
      range: ByteRange | undefined,
      { signal }: { signal: AbortSignal },
    ): Promise<OriginBody> => {
      const reader = new OriginReader(requester, retry, refusing, request, range, signal);
      await reader.open();
      return { chunks: reader.chunks() };
    },
    knownAuthorization: (url, account) => authenticator.known(url, account),
    [Symbol.asyncDispose]: () => dispatchers[Symbol.asyncDispose](),
  };
}

/** A first byte alone is asked for to learn the length of the whole. */
function purposeOf({ method, headers }: ExchangeRequest): Purpose {
  return method === 'HEAD' || headers['range'] === 'bytes=0-0' ? 'question' : 'content';
}
