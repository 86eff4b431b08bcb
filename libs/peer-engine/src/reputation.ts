/** Why a host was turned away: wrong bytes are worse than silence. */
export type Offence = 'wrongBytes' | 'stalled' | 'unreachable';

/** How long a host is not asked after an offence, in ms; doubled with each further one up to the hour. */
const PENALTY_MS: Readonly<Record<Offence, number>> = { wrongBytes: 600_000, stalled: 60_000, unreachable: 10_000 };
const MAX_PENALTY_MS = 3_600_000;
/** Hosts remembered; the oldest go first. */
const MAX_HOSTS = 4096;

/** Remembers, across tasks, which hosts are not worth asking for a while. */
export class Reputation {
  readonly #clock: () => number;
  readonly #hosts = new Map<string, { untilMs: number; penaltyMs: number }>();

  /** @param clock Unix time in ms */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  blame(hostId: string, offence: Offence): void {
    const before = this.#hosts.get(hostId)?.penaltyMs ?? 0;
    const penaltyMs = Math.min(Math.max(PENALTY_MS[offence], before * 2), MAX_PENALTY_MS);
    this.#hosts.delete(hostId);
    this.#hosts.set(hostId, { untilMs: this.#clock() + penaltyMs, penaltyMs });
    if (this.#hosts.size > MAX_HOSTS) {
      const [oldest] = this.#hosts.keys();
      if (oldest !== undefined) this.#hosts.delete(oldest);
    }
  }

  /** Good bytes came from the host: earlier offences no longer count. */
  praise(hostId: string): void {
    this.#hosts.delete(hostId);
  }

  isTrusted(hostId: string): boolean {
    return (this.#hosts.get(hostId)?.untilMs ?? 0) <= this.#clock();
  }
}
