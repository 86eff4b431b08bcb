/** Hosts remembered; the oldest go first. */
const MAX_HOSTS = 8_192;
const MAX_ID_LENGTH = 512;

/** Daemons that have said Hello to this one: they are of our kind. */
export class GreetedHosts {
  readonly #hostIds = new Set<string>();

  /** @param hostId `ip-hostname`, as it names itself; what cannot be one is not kept */
  greetedBy(hostId: string): void {
    if (hostId === '' || hostId.length > MAX_ID_LENGTH) return;
    this.#hostIds.delete(hostId);
    this.#hostIds.add(hostId);
    if (this.#hostIds.size <= MAX_HOSTS) return;
    const [oldest] = this.#hostIds;
    if (oldest !== undefined) this.#hostIds.delete(oldest);
  }

  has(hostId: string): boolean {
    return this.#hostIds.has(hostId);
  }
}
