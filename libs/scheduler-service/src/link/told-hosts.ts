import type { HostView } from '@d7y/swarm';

/** Hosts that a daemon is remembered to have heard of: the neighbours of some twenty downloads. */
const MAX_TOLD_HOSTS = 256;

/** Which hosts one stream has told its daemon of, by which numbers. The oldest are forgotten, and told again under a new number. */
export class ToldHosts {
  readonly #told = new Map<HostView, { readonly number: number; readonly ip: string; readonly port: number }>();
  #lastNumber = 0;

  /** @returns the number of a host; undefined where the daemon has yet to hear of it */
  numberOf(host: HostView): number | undefined {
    const told = this.#told.get(host);
    const { ip, port } = host.facts;
    return told?.ip === ip && told.port === port ? told.number : undefined;
  }

  /** @returns the number that the daemon is told of the host */
  tell(host: HostView): number {
    const { ip, port } = host.facts;
    const number = ++this.#lastNumber;
    // One that is told again, since it has moved, is the newest.
    if (this.#told.has(host)) this.#told.delete(host);
    this.#told.set(host, { number, ip, port });
    if (this.#told.size > MAX_TOLD_HOSTS) {
      const [oldest] = this.#told.keys();
      if (oldest !== undefined) this.#told.delete(oldest);
    }
    return number;
  }
}
