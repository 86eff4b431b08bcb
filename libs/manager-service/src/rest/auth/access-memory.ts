import { LRUCache } from 'lru-cache';
import type { AccessSource, KnownToken, KnownUser, Permission } from './access-source.ts';

/** Entries of each kind; one takes some hundred bytes. */
const MAX_ENTRIES = 10_000;

interface Found<T> {
  readonly value: T;
}

/**
 * Remembers for some seconds who may what, so that most requests ask no database. A change made by this process or announced by another
 * makes it forget at once; one whose announcement was lost is seen when the seconds are over.
 */
export class AccessMemory implements AccessSource {
  readonly #source: AccessSource;
  readonly #users: LRUCache<number, Found<KnownUser | undefined>>;
  readonly #revoked: LRUCache<string, Found<boolean>>;
  readonly #tokens: LRUCache<string, Found<KnownToken | undefined>>;
  readonly #permissions: LRUCache<'all', Found<ReadonlyMap<string, readonly Permission[]>>>;
  readonly #caches: readonly { clear(): void }[];

  constructor(source: AccessSource, { ttlMs }: { readonly ttlMs: number }) {
    this.#source = source;
    const remember = <K extends string | number, V>(fetch: (key: K) => Promise<V>) =>
      new LRUCache<K, Found<V>>({
        max: MAX_ENTRIES,
        ttl: ttlMs,
        fetchMethod: async (key) => ({ value: await fetch(key) }),
      });
    this.#users = remember((userId) => this.#source.user(userId));
    this.#revoked = remember((sessionId) => this.#source.isRevoked(sessionId));
    this.#tokens = remember((hash) => this.#source.token(hash));
    this.#permissions = remember(() => this.#source.permissions());
    this.#caches = [this.#users, this.#revoked, this.#tokens, this.#permissions];
  }

  /** Something has changed, no matter what: it happens seldom. Answers under way are not kept. */
  forget(): void {
    for (const cache of this.#caches) cache.clear();
  }

  async user(userId: number): Promise<KnownUser | undefined> {
    return (await fetched(this.#users, userId, () => this.#source.user(userId))).value;
  }

  async isRevoked(sessionId: string): Promise<boolean> {
    return (await fetched(this.#revoked, sessionId, () => this.#source.isRevoked(sessionId))).value;
  }

  async token(hash: string): Promise<KnownToken | undefined> {
    return (await fetched(this.#tokens, hash, () => this.#source.token(hash))).value;
  }

  async permissions(): Promise<ReadonlyMap<string, readonly Permission[]>> {
    return (await fetched(this.#permissions, 'all', () => this.#source.permissions())).value;
  }
}

/** A fetch that was under way when the cache was cleared gives nothing back: then the source is asked again. */
async function fetched<K extends string | number, V>(
  cache: LRUCache<K, Found<V>>,
  key: K,
  ask: () => Promise<V>,
): Promise<Found<V>> {
  try {
    const found = await cache.fetch(key);
    if (found !== undefined) return found;
  } catch (error) {
    if (!isForgotten(error)) throw error;
  }
  return { value: await ask() };
}

/** What the cache rejects with when an entry is taken away while it is fetched. */
const isForgotten = (error: unknown): boolean => error instanceof Error && error.message === 'deleted';
