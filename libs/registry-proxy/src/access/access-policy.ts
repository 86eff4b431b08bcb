import { type Origin, type OriginRequest, OriginStatusError, withoutQuery } from '@d7y/peer-engine';
import { withTimeout } from '@d7y/service-kit';
import { type Access, type AccessRequest, type Credentials, isNobody, NO_CREDENTIALS } from './access-request.ts';
import { AgedTable } from './aged-table.ts';
import { askInTime } from './ask-in-time.ts';
import { Identities } from './identities.ts';
import { isDown, RegistryHealth } from './registry-health.ts';
import { Visibility } from './visibility.ts';

/**
 * What callers of private content have to prove.
 * - `public`: nothing; whoever reaches this daemon may read what it holds. Credentials are needed only to fetch.
 * - `probe`: that the origin accepts them for that repository and that digest, cached or not.
 * - `strict`: the same; and private pieces leave for other daemons over the authenticated port only.
 */
export type AccessMode = 'public' | 'probe' | 'strict';

/** An origin that can be asked by HEAD. */
export interface HeadOrigin extends Pick<Origin, 'probe'> {
  /** Redirects are not followed. @throws {OriginStatusError} @throws {OriginUnreachableError} */
  head(
    request: OriginRequest,
    options: { signal: AbortSignal },
  ): Promise<{
    readonly contentLength: number | undefined;
    readonly headers: Readonly<Record<string, string>>;
  }>;
}

export interface AccessPolicyOptions {
  readonly origin: HeadOrigin;
  readonly mode?: AccessMode;
  /** How long a repository counts as public without asking, and while the registry is down. */
  readonly publicTtlMs: number;
  readonly publicWhenDownMs: number;
  /** How long a caller stays accepted without asking, and while the registry is down. */
  readonly acceptedTtlMs: number;
  readonly acceptedWhenDownMs: number;
  readonly probeTimeoutMs: number;
  /** As whom callers without credentials of their own act at an upstream; nobody unless given. */
  readonly nodeCredentials?: (upstream: string) => Credentials;
  readonly health?: RegistryHealth;
  readonly maxEntries?: number;
  /** Under which callers were accepted earlier, see `rememberedCallers`. */
  readonly identityKey?: Uint8Array | undefined;
  /** Told when there is something new that is worth remembering across restarts. */
  readonly changed?: () => void;
  /** Told of the challenge with which a registry refuses strangers. */
  readonly challenged?: (upstream: string, challenge: string) => void;
  /** Unix time in ms; for tests. */
  readonly clock?: () => number;
}

/** Who was accepted for what, as it may lie on a disk: names that only the key makes sense of. */
export interface RememberedCallers {
  readonly key: Uint8Array;
  readonly accepted: readonly { readonly name: string; readonly seenAtMs: number }[];
}

/**
 * Decides who gets what from the cache: the origin does. A caller with credentials is first taken for an anonymous one; when
 * the origin would serve that one too, the content is public and the credentials stay here. Otherwise the origin must
 * accept this very caller for this very digest of this very repository, cached or not: by a manifest that it gave to this caller and in
 * which the digest stands, else by a HEAD of it. What it said is remembered, by hashes.
 */
export class AccessPolicy {
  readonly mode: AccessMode;
  readonly visibility: Visibility;
  readonly health: RegistryHealth;
  readonly #options: AccessPolicyOptions;
  readonly #identities: Identities;
  readonly #clock: () => number;
  /** Callers whom the origin accepted for one digest of one scope, by a name of the three. */
  readonly #accepted: AgedTable<object>;
  /** Questions under way, shared by everybody who asks the same. */
  readonly #questions = new Map<string, Promise<void>>();

  constructor(options: AccessPolicyOptions) {
    const { maxEntries = 20_000, clock = Date.now } = options;
    this.#options = options;
    this.mode = options.mode ?? 'probe';
    this.health = options.health ?? new RegistryHealth();
    this.#identities = new Identities(options.identityKey);
    this.#clock = clock;
    this.#accepted = new AgedTable(maxEntries, clock);
    this.visibility = new Visibility({
      freshMs: options.publicTtlMs,
      whenDownMs: options.publicWhenDownMs,
      maxEntries,
      clock,
      ...(options.changed === undefined ? {} : { changed: options.changed }),
      ...(options.challenged === undefined ? {} : { challenged: options.challenged }),
    });
  }

  /**
   * @throws {OriginStatusError} the origin does not accept this caller
   * @throws {OriginUnreachableError} nobody can tell
   */
  async decide(asked: AccessRequest, { signal }: { signal: AbortSignal }): Promise<Access> {
    const request = this.actingAs(asked);
    const isTrusted = this.mode === 'public';
    if (isNobody(request)) {
      if (!isTrusted) this.#challengeWhenDown(request);
      return { isPrivate: false, credentials: NO_CREDENTIALS, isAccepted: isTrusted };
    }
    // Without its signature a signed URL names nothing that could be public.
    if (request.signature.length === 0 && (await this.#isPublic(request, signal))) {
      return { isPrivate: false, credentials: NO_CREDENTIALS, isAccepted: isTrusted };
    }
    if (!isTrusted) await this.#assertAccepted(request, signal);
    return { isPrivate: true, credentials: request.credentials, isAccepted: true };
  }

  /**
   * The same rules for a request that brings authorities of its own (PEM). What an origin says that only the caller vouches for is asked
   * anew and remembered nowhere, so that it counts for that request alone, and this node's own credentials do not go there.
   */
  apart(authorities: string): Pick<AccessPolicy, 'decide'> {
    const { origin, publicTtlMs, publicWhenDownMs, acceptedTtlMs, acceptedWhenDownMs, probeTimeoutMs } = this.#options;
    return new AccessPolicy({
      ...{ publicTtlMs, publicWhenDownMs, acceptedTtlMs, acceptedWhenDownMs, probeTimeoutMs },
      mode: this.mode,
      origin: {
        head: (request, options) => origin.head({ ...request, authorities }, options),
        probe: (request, options) => origin.probe({ ...request, authorities }, options),
      },
      maxEntries: 1,
      clock: this.#clock,
    });
  }

  /** The request with the credentials that count: the caller's own, else those of this node. */
  actingAs(request: AccessRequest): AccessRequest {
    if (!isNobody(request)) return request;
    const credentials = this.#options.nodeCredentials?.(request.upstream) ?? NO_CREDENTIALS;
    return { ...request, credentials };
  }

  /** A name for the caller at this upstream, the same whenever it comes with the same proof. */
  identityOf(request: AccessRequest): string {
    return this.#identities.of(request);
  }

  /** The origin accepted the caller for this digest of the scope, just now. */
  accept(request: AccessRequest, digest: string): void {
    this.#setAccepted(this.#nameOf(request, digest));
  }

  /** The caller got a manifest from the scope, in which these digests stand: it is accepted for them as it is for the manifest. */
  acceptLike(request: AccessRequest, manifestDigest: string, digests: Iterable<string>): void {
    const seenAtMs = this.#accepted.seenAtMs(this.#nameOf(request, manifestDigest));
    if (seenAtMs === undefined) return;
    for (const digest of digests) {
      const name = this.#nameOf(request, digest);
      if ((this.#accepted.seenAtMs(name) ?? -Infinity) < seenAtMs) this.#setAccepted(name, seenAtMs);
    }
  }

  /** Whether the origin accepted the caller within the time that counts while it is down. */
  wasAccepted(request: AccessRequest, digest: string): boolean {
    return this.#accepted.get(this.#nameOf(request, digest), this.#options.acceptedWhenDownMs) !== undefined;
  }

  /** What outlives a restart of who was accepted: what still counts while the registry is down. */
  rememberedCallers(): RememberedCallers {
    const since = this.#clock() - this.#options.acceptedWhenDownMs;
    const accepted = [...this.#accepted.entries()].filter(({ seenAtMs }) => seenAtMs >= since);
    return { key: this.#identities.key, accepted: accepted.map(({ key: name, seenAtMs }) => ({ name, seenAtMs })) };
  }

  /** @param accepted under the key that this policy was made with */
  recall(accepted: RememberedCallers['accepted']): void {
    for (const { name, seenAtMs } of accepted) this.#accepted.set(name, {}, seenAtMs);
  }

  /** The refusal of a caller who brings nothing, as the registry would say it if it could: so that it comes back with what it has. */
  #challengeWhenDown({ url, upstream, scope }: AccessRequest): void {
    if (!this.health.isDown(upstream)) return;
    const known = this.visibility.whenDown(upstream, scope);
    if (known?.state !== 'private' || known.challenge === undefined) return;
    throw new OriginStatusError(url, 401, { 'www-authenticate': known.challenge });
  }

  async #assertAccepted(request: AccessRequest, signal: AbortSignal): Promise<void> {
    const { acceptedTtlMs } = this.#options;
    const digest = request.digest ?? '';
    const key = this.#nameOf(request, digest);
    if (this.#accepted.get(key, acceptedTtlMs) !== undefined) return;
    const wasAccepted = this.wasAccepted(request, digest);
    if (wasAccepted && this.health.isDown(request.upstream)) return;
    try {
      await this.#ask(key, request, request.credentials, signal);
    } catch (error) {
      if (wasAccepted && isDown(error)) return;
      // Whom the origin refuses now was accepted for the last time.
      if (error instanceof OriginStatusError && !isDown(error)) {
        this.#accepted.delete(key);
        this.#options.changed?.();
      }
      throw error;
    }
    this.#setAccepted(key);
  }

  #nameOf(request: AccessRequest, digest: string): string {
    return this.#identities.seal(keyOf(this.#identities.of(request), request.scope, digest));
  }

  #setAccepted(name: string, seenAtMs = this.#clock()): void {
    this.#accepted.set(name, {}, seenAtMs);
    this.#options.changed?.();
  }

  async #isPublic(request: AccessRequest, signal: AbortSignal): Promise<boolean> {
    const { upstream, scope, digest } = request;
    const fresh = this.visibility.fresh(upstream, scope);
    if (fresh !== undefined) return fresh.state === 'public';
    const known = this.visibility.whenDown(upstream, scope);
    if (known !== undefined && this.health.isDown(upstream)) return known.state === 'public';
    try {
      await this.#ask(keyOf('', `${upstream} ${scope}`, digest ?? ''), request, NO_CREDENTIALS, signal);
    } catch (error) {
      if (known !== undefined && isDown(error)) return known.state === 'public';
      if (!(error instanceof OriginStatusError)) throw error;
      // 404 may mean this blob alone; 429 and 5xx mean nothing: the caller's own credentials are asked, and nothing is remembered.
      if (error.status === 401 || error.status === 403) {
        const challenge = error.headers['www-authenticate'];
        this.visibility.set(upstream, scope, { state: 'private', challenge });
      }
      return false;
    }
    this.visibility.set(upstream, scope, { state: 'public' });
    return true;
  }

  /** One question for all who ask the same at the same time: it has its own deadline, and nobody's leaving ends it for the others. */
  async #ask(key: string, asked: AccessRequest, credentials: Credentials, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { origin, probeTimeoutMs } = this.#options;
    let question = this.#questions.get(key);
    if (question === undefined) {
      const request = { url: asked.url, headers: asked.headers, credentials };
      // A signature may be good for one method only, that of the download.
      const isSigned = asked.digest === undefined || asked.signature.length > 0;
      const answer = askInTime<unknown>(asked.url, probeTimeoutMs, (deadline) =>
        isSigned ? origin.probe(request, deadline) : origin.head(request, deadline),
      );
      question = this.health
        .watch(asked.upstream, answer)
        .then(() => undefined)
        .finally(() => this.#questions.delete(key));
      this.#questions.set(key, question);
    }
    await withTimeout(question, probeTimeoutMs, `asking ${withoutQuery(asked.url)} who may have it`, { signal });
  }
}

function keyOf(caller: string, scope: string, digest: string): string {
  return `${caller} ${scope} ${digest}`;
}
