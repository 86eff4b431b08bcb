import type { Peer } from './peer.ts';
import { sampleSetBy } from './sample-set.ts';
import type { WishPlace } from './wish.ts';

const OpenSet = sampleSetBy('openAt');
const HungrySet = sampleSetBy('hungryAt');

/** Peers of a zone that want the same part of the content, more or less. */
export class Pool {
  /** Peers with room for another child. */
  readonly open = new OpenSet<Peer>();
  /** Those of our daemons that have room for another parent. */
  readonly hungry = new HungrySet<Peer>();
  /** Peers in exchange. */
  members = 0;
}

/** The hosts of a task between which bytes are cheap, as they stand for exchange. */
export class Zone {
  readonly key: string;
  /** Those who want everything. */
  readonly whole = new Pool();
  /** Those who want a range, by its place. */
  readonly #parts = new Map<number, Pool>();
  /** The few that have parents in other zones. */
  readonly gateways = new Set<Peer>();
  /** Peers in exchange. */
  members = 0;
  /** Those of them that have everything. */
  copies = 0;

  constructor(key: string) {
    this.key = key;
  }

  /** @returns undefined where nobody of that place is */
  part(place: WishPlace): Pool | undefined {
    return this.#parts.get(numberOf(place));
  }

  /** Takes somebody in who wants a range there. */
  enter(place: WishPlace): Pool {
    const number = numberOf(place);
    let pool = this.#parts.get(number);
    if (pool === undefined) this.#parts.set(number, (pool = new Pool()));
    return pool;
  }

  /** Forgets pools that are empty. */
  tidy(): void {
    for (const [number, pool] of this.#parts) if (pool.members === 0) this.#parts.delete(number);
  }
}

/** One number for each place: those of a level follow those of the one above. */
const numberOf = ({ level, index }: WishPlace): number => 2 ** level + index;
