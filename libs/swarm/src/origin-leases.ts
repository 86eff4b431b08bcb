import type { Peer } from './peer.ts';

/**
 * Leave to fetch from the origin. A `counted` lease is one of the few that a task has; an `extra` one is given beside
 * them, to a peer that may not share or that has waited too long.
 */
export interface OriginLease {
  readonly kind: 'counted' | 'extra';
  readonly grantedAtMs: number;
}

/**
 * Who may fetch a task from its origin. Counted leases never exceed the limit. Owned by its task. Beside the leases of peers, which
 * last as long as their conversations, there are those of hosts that fetch missing pieces although they have parents: they count,
 * and end by themselves.
 */
export class OriginLeases {
  readonly #limit: number;
  readonly #leases = new Map<Peer, OriginLease>();
  /** Host id → when its lease ends. */
  readonly #hostLeases = new Map<string, number>();
  #counted = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a counted lease can be granted. */
  get isFree(): boolean {
    return this.countedLeases < this.#limit;
  }

  get countedLeases(): number {
    return this.#counted + this.#hostLeases.size;
  }

  get holders(): Iterable<Peer> {
    return this.#leases.keys();
  }

  get size(): number {
    return this.#leases.size + this.#hostLeases.size;
  }

  get hasHostLeases(): boolean {
    return this.#hostLeases.size > 0;
  }

  isHeldBy(peer: Peer): boolean {
    return this.#leases.size > 0 && this.#leases.has(peer);
  }

  isHeldByHost(hostId: string): boolean {
    return this.#hostLeases.has(hostId);
  }

  /** Grants a host a lease, or a longer one. @returns false when it is none's to have */
  grantHost(hostId: string, endsAtMs: number): boolean {
    if (!this.#hostLeases.has(hostId)) {
      for (const peer of this.#leases.keys()) if (peer.host.id === hostId) return true;
      if (!this.isFree) return false;
    }
    this.#hostLeases.set(hostId, endsAtMs);
    return true;
  }

  /** The host's lease ends at the latest then. */
  shortenHost(hostId: string, endsAtMs: number): void {
    const known = this.#hostLeases.get(hostId);
    if (known !== undefined) this.#hostLeases.set(hostId, Math.min(known, endsAtMs));
  }

  /** @returns whether the host held one */
  releaseHost(hostId: string): boolean {
    return this.#hostLeases.delete(hostId);
  }

  /** @returns whether a lease of a host has ended */
  expireHosts(nowMs: number): boolean {
    const before = this.#hostLeases.size;
    for (const [hostId, endsAtMs] of this.#hostLeases) if (nowMs >= endsAtMs) this.#hostLeases.delete(hostId);
    return this.#hostLeases.size < before;
  }

  /** Grants a lease; a counted one only while one is free, otherwise it becomes an extra one. Takes the place of one of its host. */
  grant(peer: Peer, wanted: OriginLease['kind'], nowMs: number): void {
    if (this.#leases.has(peer)) return;
    this.#hostLeases.delete(peer.host.id);
    const kind = wanted === 'counted' && this.isFree ? 'counted' : 'extra';
    this.#leases.set(peer, { kind, grantedAtMs: nowMs });
    if (kind === 'counted') this.#counted++;
  }

  /** @returns whether the peer held one */
  release(peer: Peer): boolean {
    const lease = this.#leases.size === 0 ? undefined : this.#leases.get(peer);
    if (lease === undefined) return false;
    this.#leases.delete(peer);
    if (lease.kind === 'counted') this.#counted--;
    return true;
  }
}

/** Who does not share does not fetch on behalf of others either. */
export const leaseKindFor = (peer: Peer): OriginLease['kind'] => (peer.host.facts.disableShared ? 'extra' : 'counted');
