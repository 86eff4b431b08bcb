/** A host that does not ask again for this long begins to wait anew. */
const MAX_PAUSE_MS = 3_000;
/** Hosts remembered; the oldest go first. */
const MAX_HOSTS = 1_000;

/** How long hosts have been asking for a lease that they are told to wait for. Owned by its task. */
export class LeasePatience {
  readonly #asking = new Map<string, { readonly sinceMs: number; lastMs: number }>();

  /** A host asks, for the first time or again. @returns whether it has asked for that long */
  hasWaited(hostId: string, forMs: number, nowMs: number): boolean {
    const known = this.#asking.get(hostId);
    if (known === undefined || nowMs - known.lastMs > MAX_PAUSE_MS) {
      this.#asking.delete(hostId);
      this.#asking.set(hostId, { sinceMs: nowMs, lastMs: nowMs });
      const [oldest] = this.#asking.keys();
      if (this.#asking.size > MAX_HOSTS && oldest !== undefined) this.#asking.delete(oldest);
      return forMs <= 0;
    }
    known.lastMs = nowMs;
    return nowMs - known.sinceMs >= forMs;
  }

  forget(hostId: string): void {
    this.#asking.delete(hostId);
  }
}
