import { OriginStatusError, withoutQuery } from '@d7y/peer-engine';
import { withTimeout } from '@d7y/service-kit';
import type { AccessPolicy, HeadOrigin } from '../access/access-policy.ts';
import {
  type Access,
  type AccessRequest,
  type Credentials,
  isNobody,
  NO_CREDENTIALS,
} from '../access/access-request.ts';
import { askInTime } from '../access/ask-in-time.ts';
import { isDown } from '../access/registry-health.ts';
import { isFit, type KnownTag, type TagBook } from './tag-book.ts';
import type { TagDirectory, TagKey } from './tag-directory.ts';

/** A registry that has not said by then what a tag means is taken to be down; the client is still waiting. */
const HEAD_TIMEOUT_MS = 5_000;
/** The swarm answers in a second or not at all; this is for a directory that does not keep its promise. */
const FIND_TIMEOUT_MS = 3_000;

export interface ResolvedTag {
  readonly tag: KnownTag;
  readonly access: Access;
  /** From memory while that is fresh, from the registry, from memory because the registry is down, from the swarm because it is. */
  readonly how: 'fresh' | 'asked' | 'stale' | 'swarm';
}

export interface TagResolverOptions {
  readonly origin: HeadOrigin;
  readonly access: AccessPolicy;
  readonly book: TagBook;
  readonly directory: TagDirectory | undefined;
  /** How long a tag is not asked for again. */
  readonly tagTtlMs: number;
  /** How long it is believed while the registry is down. */
  readonly staleTtlMs: number;
  readonly acceptedTtlMs: number;
}

type Question = Promise<KnownTag | undefined>;

/**
 * Finds out which manifest a tag means: asks the registry by HEAD, first as nobody in particular, then as the caller; while it is down
 * believes what it said before, to this caller or to everybody, and what it said to others of the swarm.
 */
export class TagResolver {
  readonly #options: TagResolverOptions;
  readonly #questions = new Map<string, Question>();

  constructor(options: TagResolverOptions) {
    this.#options = options;
  }

  /**
   * @returns undefined when the client and the registry should talk about it themselves
   * @throws {OriginStatusError} 401 with a challenge: the registry is down, and a caller with credentials could be served
   */
  async resolve(
    key: TagKey,
    asked: AccessRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<ResolvedTag | undefined> {
    const { access } = this.#options;
    const request = access.actingAs(asked);
    const { upstream, scope } = request;
    if (access.visibility.fresh(upstream, scope)?.state !== 'private') {
      const known = this.#freshPublic(key, request);
      if (known !== undefined) return known;
      try {
        const tag = await this.#ask(key, undefined, request, signal);
        return tag === undefined ? undefined : this.#public(tag, 'asked');
      } catch (error) {
        signal.throwIfAborted();
        if (isDown(error)) return this.#whileDown(key, request, { signal });
        // Some registries say "not found" of what they do not show to strangers.
        if (!(error instanceof OriginStatusError) || isNobody(request)) return undefined;
      }
    }
    if (isNobody(request)) return this.#knownDown(request) ? this.#whileDown(key, request, { signal }) : undefined;
    return this.#resolveAs(key, request, { signal });
  }

  async #resolveAs(
    key: TagKey,
    request: AccessRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<ResolvedTag | undefined> {
    const { access, book, tagTtlMs, acceptedTtlMs } = this.#options;
    const identity = access.identityOf(request);
    const fresh = book.get(key, identity, Math.min(tagTtlMs, acceptedTtlMs));
    if (fresh !== undefined) return privately(fresh, 'fresh', request.credentials);
    try {
      const tag = await this.#ask(key, identity, request, signal);
      return tag === undefined ? undefined : privately(tag, 'asked', request.credentials);
    } catch (error) {
      signal.throwIfAborted();
      return isDown(error) ? this.#whileDown(key, request, { signal }) : undefined;
    }
  }

  async #whileDown(
    key: TagKey,
    request: AccessRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<ResolvedTag | undefined> {
    const { access, book, staleTtlMs } = this.#options;
    const { upstream, scope, url } = request;
    const visibility = access.visibility.whenDown(upstream, scope);
    if (visibility?.state !== 'private') {
      const known = visibility === undefined ? undefined : book.get(key, undefined, staleTtlMs);
      if (known !== undefined) return this.#public(known, 'stale');
      const found = await this.#find(key, { signal });
      if (found !== undefined) return this.#public(found, 'swarm');
    }
    if (!isNobody(request)) {
      const known = book.get(key, access.identityOf(request), staleTtlMs);
      if (known !== undefined && access.wasAccepted(request, known.digest))
        return privately(known, 'stale', request.credentials);
    } else if (visibility?.state === 'private' && visibility.challenge !== undefined) {
      throw new OriginStatusError(url, 401, { 'www-authenticate': visibility.challenge });
    }
    return undefined;
  }

  async #find(key: TagKey, { signal }: { signal: AbortSignal }): Promise<KnownTag | undefined> {
    const { access, book, directory, staleTtlMs } = this.#options;
    if (directory === undefined) return undefined;
    const either = AbortSignal.any([signal, AbortSignal.timeout(FIND_TIMEOUT_MS)]);
    const records = await directory.find(key, { signal: either }).catch(() => []);
    signal.throwIfAborted();
    for (const record of records) {
      if (!isFit(record)) continue;
      const known = { ...book.setPublic(key, record, record.seenAtMs) };
      access.visibility.hearPublic(key.registry, key.repository, record.seenAtMs);
      if (book.get(key, undefined, staleTtlMs) !== undefined) return known;
    }
    return undefined;
  }

  #freshPublic(key: TagKey, { upstream, scope }: AccessRequest): ResolvedTag | undefined {
    const { access, book, tagTtlMs } = this.#options;
    if (access.visibility.fresh(upstream, scope) === undefined) return undefined;
    const known = book.get(key, undefined, tagTtlMs);
    return known === undefined ? undefined : this.#public(known, 'fresh');
  }

  #public(tag: KnownTag, how: ResolvedTag['how']): ResolvedTag {
    const isAccepted = this.#options.access.mode === 'public';
    return { tag, how, access: { isPrivate: false, credentials: NO_CREDENTIALS, isAccepted } };
  }

  #knownDown({ upstream }: AccessRequest): boolean {
    return this.#options.access.health.isDown(upstream);
  }

  /**
   * One HEAD for all who want to know the same at the same time.
   * @param identity undefined: as nobody in particular
   * @returns undefined when it means something that is not kept here
   */
  async #ask(key: TagKey, identity: string | undefined, request: AccessRequest, signal: AbortSignal): Question {
    signal.throwIfAborted();
    const { access } = this.#options;
    const { url, upstream, scope } = request;
    if (access.health.isDown(upstream) && access.visibility.whenDown(upstream, scope) !== undefined) {
      // Nobody waits a second time for what failed a moment ago.
      throw new OriginStatusError(url, 503, {});
    }
    const name = [identity ?? '', key.registry, key.repository, key.tag, key.accept].join(' ');
    let question = this.#questions.get(name);
    if (question === undefined) {
      question = this.#head(key, identity, request).finally(() => this.#questions.delete(name));
      this.#questions.set(name, question);
    }
    return withTimeout(question, 2 * HEAD_TIMEOUT_MS, `what ${withoutQuery(url)} means`, { signal });
  }

  async #head(key: TagKey, identity: string | undefined, request: AccessRequest): Question {
    const { origin, access, book, directory } = this.#options;
    const { url, headers, upstream, scope } = request;
    const credentials = identity === undefined ? NO_CREDENTIALS : request.credentials;
    let answer;
    try {
      const asked = askInTime(url, HEAD_TIMEOUT_MS, (deadline) => origin.head({ url, headers, credentials }, deadline));
      answer = await access.health.watch(upstream, asked);
    } catch (error) {
      if (identity === undefined && error instanceof OriginStatusError && [401, 403].includes(error.status)) {
        const challenge = error.headers['www-authenticate'];
        access.visibility.set(upstream, scope, { state: 'private', challenge });
      }
      throw error;
    }
    const tag: KnownTag = {
      digest: answer.headers['docker-content-digest'] ?? '',
      mediaType: (answer.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '',
      size: answer.contentLength ?? 0,
    };
    if (identity === undefined) access.visibility.set(upstream, scope, { state: 'public' });
    if (!isFit(tag)) return undefined;
    if (identity === undefined) {
      directory?.record(book.setPublic(key, tag));
    } else {
      book.setPrivate(key, identity, tag);
      access.accept(request, tag.digest);
    }
    return tag;
  }
}

function privately(tag: KnownTag, how: ResolvedTag['how'], credentials: Credentials): ResolvedTag {
  return { tag, how, access: { isPrivate: true, credentials, isAccepted: true } };
}
