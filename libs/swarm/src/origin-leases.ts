import type { Peer } from './peer.ts';

/**
 * Leave to fetch from the origin. A `counted` lease is one of the few that a task has; an `extra` one is given beside
 * them, to a peer that may not share or that has waited too long.
 */
export interface OriginLease {
  readonly kind: 'counted' | 'extra';
  readonly grantedAtMs: number;
}

/** Who may fetch a task from its origin. Counted leases never exceed the limit. Owned by its task. */
export class OriginLeases {
  readonly #limit: number;
  readonly #leases = new Map<Peer, OriginLease>();
  #counted = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a counted lease can be granted. */
  get isFree(): boolean {
    return this.#counted < this.#limit;
  }

  get countedLeases(): number {
    return this.#counted;
  }

  get holders(): Iterable<Peer> {
    return this.#leases.keys();
  }

  get size(): number {
    return this.#leases.size;
  }

  isHeldBy(peer: Peer): boolean {
    return this.#leases.has(peer);
  }

  /** Grants a lease; a counted one only while one is free, otherwise it becomes an extra one. */
  grant(peer: Peer, wanted: OriginLease['kind'], nowMs: number): void {
    if (this.#leases.has(peer)) return;
    const kind = wanted === 'counted' && this.isFree ? 'counted' : 'extra';
    this.#leases.set(peer, { kind, grantedAtMs: nowMs });
    if (kind === 'counted') this.#counted++;
  }

  /** @returns whether the peer held one */
  release(peer: Peer): boolean {
    const lease = this.#leases.get(peer);
    if (lease === undefined) return false;
    this.#leases.delete(peer);
    if (lease.kind === 'counted') this.#counted--;
    return true;
  }
}

/** Who does not share does not fetch on behalf of others either. */
export const leaseKindFor = (peer: Peer): OriginLease['kind'] => (peer.host.facts.disableShared ? 'extra' : 'counted');
