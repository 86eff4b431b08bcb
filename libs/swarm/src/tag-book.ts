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
  /** Names that one host may bring in; further ones are not taken. */
  readonly maxTagsPerHost: number;
  /** Different meanings of one name; the oldest makes room. */
  readonly maxMeanings: number;
  /** A meaning is forgotten when no registry confirmed it for so long. */
  readonly ttlMs: number;
}

export const TAG_BOOK_LIMITS: TagBookLimits = {
  maxTags: 100_000,
  maxTagsPerHost: 20_000,
  maxMeanings: 4,
  ttlMs: 30 * 24 * 3_600_000,
};

/** Hosts that make a meaning believed, whatever others say alone. */
const WITNESSES = 2;

interface Told {
  readonly meaning: TagMeaning;
  /** Hosts that said so, as many as count. */
  readonly witnesses: readonly string[];
}

interface Name {
  /** Who brought it in. */
  readonly hostId: string;
  /** Those with enough witnesses first, else newest first: nobody can push out by himself what others agree on. */
  readonly told: readonly Told[];
}

/**
 * What tags of public repositories meant lately. Times are Unix times: they are compared across machines. One host alone is believed only where
 * no meaning has two of them behind it: a host that lies, or one that saw a tag move before all others, changes nothing by itself.
 */
export class TagBook {
  readonly #limits: TagBookLimits;
  /** In the order of last use. */
  readonly #tags = new Map<string, Name>();
  /** Host id → names it brought in. */
  readonly #byHost = new Map<string, number>();

  constructor(limits: Partial<TagBookLimits> = {}) {
    this.#limits = { ...TAG_BOOK_LIMITS, ...limits };
  }

  /** Names remembered. */
  get size(): number {
    return this.#tags.size;
  }

  /** @param hostId who says so */
  record(meaning: TagMeaning, hostId: string, nowMs: number): void {
    const key = keyOf(meaning);
    const known = this.#tags.get(key);
    const broughtIn = this.#byHost.get(hostId) ?? 0;
    if (known === undefined && broughtIn >= this.#limits.maxTagsPerHost) return;
    // A clock that is ahead must not outlast every true word.
    const said = { ...meaning, seenAtMs: Math.min(meaning.seenAtMs, nowMs) };
    const all = known?.told ?? [];
    const same = all.find((told) => told.meaning.digest === said.digest);
    const newest = same !== undefined && same.meaning.seenAtMs > said.seenAtMs ? same.meaning : said;
    const witnesses = [...new Set([...(same?.witnesses ?? []), hostId])].slice(0, WITNESSES);
    const told = [...all.filter((other) => other !== same), { meaning: newest, witnesses }]
      .sort((left, right) => believedFirst(left, right) || right.meaning.seenAtMs - left.meaning.seenAtMs)
      .slice(0, this.#limits.maxMeanings);
    this.#tags.delete(key);
    this.#tags.set(key, { hostId: known?.hostId ?? hostId, told });
    if (known === undefined) this.#byHost.set(hostId, broughtIn + 1);
    if (this.#tags.size > this.#limits.maxTags) this.#forget(this.#tags.keys().next().value ?? '');
  }

  /** @returns newest first; only those with two hosts behind them where there are such; empty when nothing is known */
  find(name: TagName, nowMs: number): readonly TagMeaning[] {
    const key = keyOf(name);
    const known = this.#tags.get(key);
    if (known === undefined) return [];
    const told = known.told.filter(({ meaning }) => nowMs - meaning.seenAtMs < this.#limits.ttlMs);
    if (told.length === 0) {
      this.#forget(key);
      return [];
    }
    this.#tags.delete(key);
    this.#tags.set(key, { ...known, told });
    const believed = told.filter(isBelieved);
    return (believed.length > 0 ? believed : told).map(({ meaning }) => meaning);
  }

  /** Takes back what a host said: its word counts no more. */
  retract(hostId: string): void {
    for (const [key, name] of this.#tags) {
      if (!name.told.some(({ witnesses }) => witnesses.includes(hostId))) continue;
      const told = name.told.flatMap(({ meaning, witnesses }) => {
        const others = witnesses.filter((witness) => witness !== hostId);
        return others.length === 0 ? [] : [{ meaning, witnesses: others }];
      });
      if (told.length === 0) this.#forget(key);
      else this.#tags.set(key, { ...name, told });
    }
  }

  #forget(key: string): void {
    const name = this.#tags.get(key);
    if (name === undefined) return;
    this.#tags.delete(key);
    const left = (this.#byHost.get(name.hostId) ?? 0) - 1;
    if (left > 0) this.#byHost.set(name.hostId, left);
    else this.#byHost.delete(name.hostId);
  }
}

const isBelieved = ({ witnesses }: Told): boolean => witnesses.length >= WITNESSES;

const believedFirst = (left: Told, right: Told): number => Number(isBelieved(right)) - Number(isBelieved(left));

const keyOf = ({ registry, repository, tag, accept }: TagName): string =>
  JSON.stringify([registry, repository, tag, accept]);
