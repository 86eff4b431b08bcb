import { createHmac, randomBytes } from 'node:crypto';
import { type Origin, type OriginRequest, OriginStatusError, withoutQuery } from '@d7y/peer-engine';
import { type Secret, withTimeout } from '@d7y/service-kit';
import { LRUCache } from 'lru-cache';

/** A request for content, as far as it matters for who may have it. */
export interface AccessRequest {
  /** At the upstream; may carry a signed query. */
  readonly url: string;
  /** Scheme and authority of the upstream. */
  readonly upstream: string;
  /** The repository, or the path of what is no registry blob: what an origin opens or closes as a whole. */
  readonly scope: string;
  /** The blob within the scope. */
  readonly digest: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly credentials: Readonly<Record<string, Secret>>;
  /** Values of query parameters that sign the URL; they prove the caller like a header does. */
  readonly signature: readonly string[];
}

/** How the content is to be fetched. */
export interface Access {
  /** The origin refuses this content to nobody in particular. */
  readonly isPrivate: boolean;
  /** What the download may use; empty for public content, whatever the caller sent. */
  readonly credentials: Readonly<Record<string, Secret>>;
}

const NO_CREDENTIALS: Readonly<Record<string, Secret>> = {};

/**
 * Decides who gets what from the cache: the origin does. A caller with credentials is first taken for an anonymous one; when
 * the origin would serve that one too, the content is public and the credentials stay here. Otherwise the origin must
 * accept this very caller for this very content, cached or not. What it said is remembered for some minutes, by hashes.
 *
 * A caller without credentials needs no decision here: the engine asks the origin as nobody in particular.
 */
export class AccessPolicy {
  readonly #origin: Origin;
  readonly #probeTimeoutMs: number;
  /** Scopes (upstream and repository) that the origin serves to anybody, or does not. */
  readonly #visibility: LRUCache<string, 'public' | 'private'>;
  /** Callers whom the origin accepted for one digest of one scope. */
  readonly #accepted: LRUCache<string, true>;
  /** Probes under way, shared by everybody who asks the same. */
  readonly #probes = new Map<string, Promise<void>>();
  /** Hashes of credentials are worthless outside this process. */
  readonly #key = randomBytes(32);

  constructor(options: {
    readonly origin: Origin;
    readonly publicTtlMs: number;
    readonly acceptedTtlMs: number;
    readonly probeTimeoutMs: number;
    readonly maxEntries?: number;
    /** Milliseconds that only grow; for tests. */
    readonly now?: () => number;
  }) {
    const max = options.maxEntries ?? 10_000;
    const perf = { now: options.now ?? (() => performance.now()) };
    // ttlResolution 0: an entry never outlives its time, not even by a tick.
    this.#visibility = new LRUCache({ max, ttl: options.publicTtlMs, ttlResolution: 0, perf });
    this.#accepted = new LRUCache({ max, ttl: options.acceptedTtlMs, ttlResolution: 0, perf });
    this.#origin = options.origin;
    this.#probeTimeoutMs = options.probeTimeoutMs;
  }

  /**
   * @throws {OriginStatusError} the origin does not accept this caller
   * @throws {OriginUnreachableError} nobody can tell
   */
  async decide(request: AccessRequest, { signal }: { signal: AbortSignal }): Promise<Access> {
    const { credentials, signature } = request;
    if (Object.keys(credentials).length === 0 && signature.length === 0) {
      return { isPrivate: false, credentials: NO_CREDENTIALS };
    }
    // Without its signature a signed URL names nothing that could be public.
    if (signature.length === 0 && (await this.#isPublic(request, signal))) {
      return { isPrivate: false, credentials: NO_CREDENTIALS };
    }
    const caller = this.#hash(request);
    if (this.#accepted.get(caller) === undefined) {
      await this.#probe(caller, { url: request.url, headers: request.headers, credentials }, signal);
      this.#accepted.set(caller, true);
    }
    return { isPrivate: true, credentials };
  }

  async #isPublic(request: AccessRequest, signal: AbortSignal): Promise<boolean> {
    const scope = `${request.upstream} ${request.scope}`;
    const known = this.#visibility.get(scope);
    if (known !== undefined) return known === 'public';
    try {
      const { url, headers } = request;
      await this.#probe(`${scope} ${request.digest ?? ''}`, { url, headers, credentials: NO_CREDENTIALS }, signal);
    } catch (error) {
      if (!(error instanceof OriginStatusError)) throw error;
      // 404 may mean this blob alone; 429 and 5xx mean nothing: the caller's own credentials are asked, and nothing is remembered.
      if (error.status === 401 || error.status === 403) this.#visibility.set(scope, 'private');
      return false;
    }
    this.#visibility.set(scope, 'public');
    return true;
  }

  /** One probe for all who ask the same at the same time: it has its own deadline, and nobody's leaving ends it for the others. */
  async #probe(key: string, request: OriginRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    let probe = this.#probes.get(key);
    if (probe === undefined) {
      probe = this.#origin
        .probe(request, { signal: AbortSignal.timeout(this.#probeTimeoutMs) })
        .then(() => undefined)
        .finally(() => this.#probes.delete(key));
      this.#probes.set(key, probe);
    }
    await withTimeout(probe, this.#probeTimeoutMs, `asking ${withoutQuery(request.url)} who may have it`, { signal });
  }

  #hash({ upstream, scope, digest, credentials, signature }: AccessRequest): string {
    const proof = Object.entries(credentials).map(([name, value]) => [name, value.reveal()]);
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([upstream, scope, digest ?? '', proof.sort(), signature]))
      .digest('base64');
  }
}
