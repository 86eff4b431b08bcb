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

/** In thousandths of the total, so that sums are exact and equal clusters are equal. */
const WEIGHTS = { cidr: 300, hostname: 300, idc: 250, location: 140, default: 10 } as const;
/** Parts of a location that count. */
const MAX_LOCATION_PARTS = 5;

interface Compiled {
  readonly cluster: SearchedCluster;
  readonly location: string;
  readonly locationParts: readonly string[];
}

/**
 * Chooses clusters for daemons. All that can be is done when it is made, once for a set of clusters: networks are looked up, and
 * regular expressions are searched for in one pass, whatever their number.
 */
export class ClusterSearch {
  /** What was passed over in the scopes. */
  readonly problems: readonly ScopeProblem[];
  /** By id. */
  readonly #clusters: readonly Compiled[];
  readonly #networks = new NetworkTable();
  readonly #patterns: Patterns;
  /** Index of a pattern → index of its cluster. */
  readonly #patternOwners: readonly number[];
  /** Data centre → indexes of clusters. */
  readonly #idcs = new Map<string, number[]>();

  constructor(clusters: Iterable<SearchedCluster>, compilePatterns: CompilePatterns) {
    const problems: ScopeProblem[] = [];
    const patterns: string[] = [];
    const patternOwners: number[] = [];
    this.#clusters = [...clusters]
      .sort((left, right) => left.id - right.id)
      .map((cluster, index) => {
        const { id, scopes } = cluster;
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
        for (const idc of idcsOf(scopes.idc)) this.#idcs.set(idc, [...(this.#idcs.get(idc) ?? []), index]);
        const location = fold(scopes.location);
        return { cluster, location, locationParts: partsOf(location) };
      });
    this.#patterns = compilePatterns(patterns);
    this.#patternOwners = patternOwners;
    for (const [pattern, reason] of this.#patterns.rejected) {
      const clusterId = this.#clusters[patternOwners[pattern] ?? -1]?.cluster.id ?? 0;
      problems.push({ clusterId, field: 'hostnames', value: patterns[pattern] ?? '', reason });
    }
    this.problems = problems;
  }

  /** All clusters, the one that suits best first; of equals, the one with the lower id. */
  rank(seeker: Seeker): ClusterScore[] {
    const inNetwork = this.#ownersOf(seeker.ip);
    const named = new Set(this.#patterns.foundIn(seeker.hostname).map((pattern) => this.#patternOwners[pattern] ?? -1));
    const sameIdc = new Set(this.#idcs.get(fold(seeker.idc ?? '')));
    const location = fold(seeker.location ?? '');
    const locationParts = partsOf(location);
    const scores = this.#clusters.map(({ cluster, ...compiled }, index): Scored => {
      const parts =
        compiled.location === location ? MAX_LOCATION_PARTS : commonParts(compiled.locationParts, locationParts);
      const cidr = inNetwork.has(index) ? 1 : 0;
      const hostname = named.has(index) ? 1 : 0;
      const idc = sameIdc.has(index) ? 1 : 0;
      const isDefault = cluster.isDefault ? 1 : 0;
      const near = location === '' ? 0 : parts;
      const thousandths =
        cidr * WEIGHTS.cidr +
        hostname * WEIGHTS.hostname +
        idc * WEIGHTS.idc +
        (near * WEIGHTS.location) / MAX_LOCATION_PARTS +
        isDefault * WEIGHTS.default;
      return {
        thousandths,
        score: {
          ...{ clusterId: cluster.id, cidr, hostname, idc, location: near / MAX_LOCATION_PARTS, default: isDefault },
          total: thousandths / 1000,
        },
      };
    });
    // Clusters are in the order of their ids, and sorting keeps the order of equals.
    return scores.sort((left, right) => right.thousandths - left.thousandths).map(({ score }) => score);
  }

  #ownersOf(ip: string): ReadonlySet<number> {
    const address = parseAddress(ip);
    return new Set(address === undefined ? [] : this.#networks.ownersOf(address));
  }
}

interface Scored {
  readonly thousandths: number;
  readonly score: ClusterScore;
}

const fold = (text: string): string => text.toLowerCase();

/** What a daemon's data centre may be called: the whole text, or one of its elements. */
function idcsOf(text: string): ReadonlySet<string> {
  const idc = fold(text);
  const all = new Set([idc, ...idc.split('|')]);
  all.delete('');
  return all;
}

const partsOf = (location: string): readonly string[] => (location === '' ? [] : location.split('|'));

function commonParts(left: readonly string[], right: readonly string[]): number {
  const most = Math.min(left.length, right.length, MAX_LOCATION_PARTS);
  let count = 0;
  while (count < most && left[count] === right[count]) count++;
  return count;
}
