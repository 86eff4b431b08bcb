/** By what a manifest was asked for. */
export interface TagName {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  /** The Accept header, normalised. */
  readonly accept: string;
}

/** What a tag meant when its registry was asked. */
export interface TagMeaning extends TagName {
  /** `sha256:…` of the manifest. */
  readonly digest: string;
  readonly mediaType: string;
  /** Bytes of the manifest. */
  readonly size: number;
  /** Unix time in ms at which the registry said so. */
  readonly seenAtMs: number;
}

/** What limits a tag book. */
export interface TagBookLimits {
  /** Names remembered; the one out of use for longest makes room. */
  readonly maxTags: number;
  /** Different meanings of one name; the oldest makes room. */
  readonly maxMeanings: number;
  /** A meaning is forgotten when no registry confirmed it for so long. */
  readonly ttlMs: number;
}

export const TAG_BOOK_LIMITS: TagBookLimits = { maxTags: 100_000, maxMeanings: 4, ttlMs: 30 * 24 * 3_600_000 };

/** What tags of public repositories meant lately. Times are Unix times: they are compared across machines. */
export class TagBook {
  readonly #limits: TagBookLimits;
  /** In the order of last use; meanings newest first. */
  readonly #tags = new Map<string, readonly TagMeaning[]>();

  constructor(limits: Partial<TagBookLimits> = {}) {
    this.#limits = { ...TAG_BOOK_LIMITS, ...limits };
  }

  /** Names remembered. */
  get size(): number {
    return this.#tags.size;
  }

  record(meaning: TagMeaning, nowMs: number): void {
    // A clock that is ahead must not outlast every true word.
    const told = { ...meaning, seenAtMs: Math.min(meaning.seenAtMs, nowMs) };
    const key = keyOf(meaning);
    const known = this.#tags.get(key) ?? [];
    const same = known.find(({ digest }) => digest === told.digest);
    const newest = same !== undefined && same.seenAtMs > told.seenAtMs ? same : told;
    const meanings = [...known.filter((other) => other !== same), newest]
      .sort((left, right) => right.seenAtMs - left.seenAtMs)
      .slice(0, this.#limits.maxMeanings);
    this.#tags.delete(key);
    this.#tags.set(key, meanings);
    if (this.#tags.size > this.#limits.maxTags) this.#tags.delete(this.#tags.keys().next().value ?? '');
  }

  /** @returns newest first; empty when nothing is known */
  find(name: TagName, nowMs: number): readonly TagMeaning[] {
    const key = keyOf(name);
    const known = this.#tags.get(key);
    if (known === undefined) return [];
    this.#tags.delete(key);
    const fresh = known.filter(({ seenAtMs }) => nowMs - seenAtMs < this.#limits.ttlMs);
    if (fresh.length > 0) this.#tags.set(key, fresh);
    return fresh;
  }
}

const keyOf = ({ registry, repository, tag, accept }: TagName): string =>
  JSON.stringify([registry, repository, tag, accept]);
