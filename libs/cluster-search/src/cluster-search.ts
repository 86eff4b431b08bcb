import { parseAddress, parseNetwork } from './address.ts';
import { NetworkTable } from './network-table.ts';

/** What a cluster says of the daemons that it is for. Nothing said suits nobody in particular. */
export interface Scopes {
  /** Data centres, separated by `|`. */
  readonly idc: string;
  /** Place from coarse to fine, separated by `|`. */
  readonly location: string;
  /** Networks, `10.0.0.0/8`. */
  readonly cidrs: readonly string[];
  /** Regular expressions; one that is found anywhere in the host name will do. */
  readonly hostnames: readonly string[];
}

export interface SearchedCluster {
  readonly id: number;
  readonly isDefault: boolean;
  readonly scopes: Scopes;
}

/** A daemon that looks for its cluster. */
export interface Seeker {
  readonly hostname: string;
  readonly ip: string;
  readonly idc?: string | undefined;
  readonly location?: string | undefined;
}

/** How well a cluster suits a daemon: each criterion from 0 to 1, `total` their weighted sum. */
export interface ClusterScore {
  readonly clusterId: number;
  readonly cidr: number;
  readonly hostname: number;
  readonly idc: number;
  readonly location: number;
  readonly default: number;
  readonly total: number;
}

/** Regular expressions, ready to be searched for all at once. */
export interface Patterns {
  /** Indexes of those found somewhere in the text. */
  foundIn(text: string): readonly number[];
  /** What is no regular expression: its index and why. */
  readonly rejected: ReadonlyMap<number, string>;
}

/** Makes patterns, bad ones among them; those are never found. */
export type CompilePatterns = (patterns: readonly string[]) => Patterns;

/** Something in the scopes of a cluster that has no effect, since it cannot be understood. */
export interface ScopeProblem {
  readonly clusterId: number;
  readonly field: 'cidrs' | 'hostnames';
  readonly value: string;
  readonly reason: string;
}

/** In which order clusters suit a daemon. Many daemons have the same. */
export interface ClusterOrder {
  /** Daemons with the same key have the same order, as long as they ask the same `ClusterSearch`. */
  readonly key: string;
  /** All clusters, the one that suits best first; of equals, the one with the lower id. */
  clusterIds(): number[];
}

/** In thousandths of the total, so that sums are exact and equal clusters are equal. */
const WEIGHTS = { cidr: 300, hostname: 300, idc: 250, location: 140, default: 10 } as const;
const WHOLE = 1000;
/** Parts of a location that count. */
const MAX_LOCATION_PARTS = 5;
/** What is noted of a cluster for a daemon: a bit for each criterion, and how many parts of the location agree. */
const IN_NETWORK = 1;
const IS_NAMED = 2;
const SAME_IDC = 4;
const OTHER_NOTES = IN_NETWORK | IS_NAMED | SAME_IDC;
const PARTS_SHIFT = 3;
/** Where an index and how much a cluster lacks share 32 bits. */
const INDEX_BITS = 22;
const INDEX_MASK = 2 ** INDEX_BITS - 1;

/**
 * Chooses clusters for daemons. All that can be is done when it is made, once for a set of clusters: networks, data centres and places are
 * looked up, and regular expressions are searched for in one pass, whatever their number. Only clusters that have something in common with
 * a daemon are looked at; the others follow in the order that they have for everybody.
 */
export class ClusterSearch {
  /** What was passed over in the scopes. */
  readonly problems: readonly ScopeProblem[];
  /** By id. */
  readonly #clusters: readonly SearchedCluster[];
  readonly #networks = new NetworkTable();
  readonly #patterns: Patterns;
  /** Index of a pattern → index of its cluster. */
  readonly #patternOwners: readonly number[];
  /** Data centre → indexes of clusters. */
  readonly #idcs = new Map<string, number[]>();
  /** First parts of a location → indexes of clusters that begin with them, by how many parts these are. */
  readonly #places: readonly Map<string, number[]>[];
  /** Whole location → indexes of clusters. */
  readonly #locations = new Map<string, number[]>();
  /** Indexes of all clusters, as they suit those who have nothing in common with any. */
  readonly #usual: readonly number[];
  /** Notes on the clusters for the daemon that is looked at, by index, and the indexes of those that have notes. */
  readonly #notes: Uint8Array;
  readonly #noted: number[] = [];
  /** The noted ones, as `#sortNoted` sorts them. */
  readonly #sorted: Uint32Array;

  /** @throws {RangeError} more clusters than anybody has */
  constructor(clusters: Iterable<SearchedCluster>, compilePatterns: CompilePatterns) {
    const problems: ScopeProblem[] = [];
    const patterns: string[] = [];
    const patternOwners: number[] = [];
    this.#clusters = [...clusters].sort((left, right) => left.id - right.id);
    if (this.#clusters.length > INDEX_MASK) throw new RangeError(`${this.#clusters.length} clusters are too many`);
    this.#places = Array.from({ length: MAX_LOCATION_PARTS }, () => new Map<string, number[]>());
    for (const [index, { id, scopes }] of this.#clusters.entries()) {
      for (const value of scopes.cidrs) {
        const network = parseNetwork(value.trim());
        if (network === undefined)
          problems.push({ clusterId: id, field: 'cidrs', value, reason: 'not a network such as 10.0.0.0/8' });
        else this.#networks.add(network, index);
      }
      for (const pattern of scopes.hostnames) {
        patterns.push(pattern);
        patternOwners.push(index);
      }
      for (const idc of idcsOf(scopes.idc)) addTo(this.#idcs, idc, index);
      const location = fold(scopes.location);
      if (location === '') continue;
      addTo(this.#locations, location, index);
      for (const [level, place] of placesOf(location).entries()) addTo(this.#places[level], place, index);
    }
    this.#patterns = compilePatterns(patterns);
    this.#patternOwners = patternOwners;
    for (const [pattern, reason] of this.#patterns.rejected) {
      const clusterId = this.#clusters[patternOwners[pattern] ?? -1]?.id ?? 0;
      problems.push({ clusterId, field: 'hostnames', value: patterns[pattern] ?? '', reason });
    }
    this.problems = problems;
    const indexes = [...this.#clusters.keys()];
    this.#usual = [
      ...indexes.filter((index) => this.#isDefault(index)),
      ...indexes.filter((index) => !this.#isDefault(index)),
    ];
    this.#notes = new Uint8Array(this.#clusters.length);
    this.#sorted = new Uint32Array(this.#clusters.length);
  }

  /** All clusters, the one that suits best first; of equals, the one with the lower id. */
  rank(seeker: Seeker): ClusterScore[] {
    this.#note(seeker);
    return this.#inOrder(this.#sortNoted()).map((index) => this.#scoreOf(index));
  }

  /** The order alone, which is found without a look at most clusters. */
  order(seeker: Seeker): ClusterOrder {
    this.#note(seeker);
    const first = this.#sortNoted();
    return { key: first.join(), clusterIds: () => this.#inOrder(first).map((index) => this.#clusters[index]?.id ?? 0) };
  }

  /** Notes what clusters have in common with the daemon, and nothing else. */
  #note({ hostname, ip, idc, location }: Seeker): void {
    for (const index of this.#noted) this.#notes[index] = 0;
    this.#noted.length = 0;
    const address = parseAddress(ip);
    if (address !== undefined) this.#networks.forEachOwner(address, (index) => this.#add(index, IN_NETWORK));
    for (const pattern of this.#patterns.foundIn(hostname)) this.#add(this.#patternOwners[pattern], IS_NAMED);
    if (idc) for (const index of this.#idcs.get(fold(idc)) ?? []) this.#add(index, SAME_IDC);
    if (!location) return;
    const folded = fold(location);
    for (const [level, place] of placesOf(folded).entries())
      for (const index of this.#places[level]?.get(place) ?? []) this.#setParts(index, level + 1);
    for (const index of this.#locations.get(folded) ?? []) this.#setParts(index, MAX_LOCATION_PARTS);
  }

  #add(index: number | undefined, note: number): void {
    if (index === undefined) return;
    const notes = this.#notes[index] ?? 0;
    if (notes === 0) this.#noted.push(index);
    this.#notes[index] = notes | note;
  }

  #setParts(index: number, parts: number): void {
    const notes = this.#notes[index] ?? 0;
    if (notes === 0) this.#noted.push(index);
    this.#notes[index] = (notes & OTHER_NOTES) | (parts << PARTS_SHIFT);
  }

  /** Indexes of the noted clusters, the one that suits best first; of equals, the one with the lower id. */
  #sortNoted(): number[] {
    const noted = this.#noted;
    const sorted = this.#sorted.subarray(0, noted.length);
    for (let at = 0; at < noted.length; at++) {
      const index = noted[at] ?? 0;
      sorted[at] = (WHOLE - this.#thousandthsOf(index)) * 2 ** INDEX_BITS + index;
    }
    sorted.sort();
    const indexes: number[] = [];
    for (const each of sorted) indexes.push(each & INDEX_MASK);
    return indexes;
  }

  /** These, then all others: whatever a cluster has in common with a daemon weighs more than being the default. */
  #inOrder(first: readonly number[]): number[] {
    const isFirst = new Uint8Array(this.#clusters.length);
    for (const index of first) isFirst[index] = 1;
    return [...first, ...this.#usual.filter((index) => isFirst[index] === 0)];
  }

  #scoreOf(index: number): ClusterScore {
    const notes = this.#notes[index] ?? 0;
    const has = (note: number) => ((notes & note) === 0 ? 0 : 1);
    return {
      clusterId: this.#clusters[index]?.id ?? 0,
      ...{ cidr: has(IN_NETWORK), hostname: has(IS_NAMED), idc: has(SAME_IDC) },
      location: (notes >> PARTS_SHIFT) / MAX_LOCATION_PARTS,
      default: this.#isDefault(index) ? 1 : 0,
      total: this.#thousandthsOf(index) / WHOLE,
    };
  }

  #thousandthsOf(index: number): number {
    const notes = this.#notes[index] ?? 0;
    return (
      ((notes & IN_NETWORK) === 0 ? 0 : WEIGHTS.cidr) +
      ((notes & IS_NAMED) === 0 ? 0 : WEIGHTS.hostname) +
      ((notes & SAME_IDC) === 0 ? 0 : WEIGHTS.idc) +
      ((notes >> PARTS_SHIFT) * WEIGHTS.location) / MAX_LOCATION_PARTS +
      (this.#isDefault(index) ? WEIGHTS.default : 0)
    );
  }

  #isDefault(index: number): boolean {
    return this.#clusters[index]?.isDefault === true;
  }
}

function addTo<Key>(table: Map<Key, number[]> | undefined, key: Key, index: number): void {
  const indexes = table?.get(key);
  if (indexes === undefined) table?.set(key, [index]);
  else indexes.push(index);
}

const fold = (text: string): string => text.toLowerCase();

/** What a daemon's data centre may be called: the whole text, or one of its elements. */
function idcsOf(text: string): ReadonlySet<string> {
  const idc = fold(text);
  const all = new Set([idc, ...idc.split('|')]);
  all.delete('');
  return all;
}

/** The first part of a location, the first two parts, and so on, as far as they count. */
function placesOf(location: string): readonly string[] {
  const places: string[] = [];
  let end = -1;
  do {
    end = location.indexOf('|', end + 1);
    places.push(end === -1 ? location : location.slice(0, end));
  } while (end !== -1 && places.length < MAX_LOCATION_PARTS);
  return places;
}
