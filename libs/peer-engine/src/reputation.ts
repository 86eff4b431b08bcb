import type { BlamedFor } from './ports/swarm-link.ts';

/** Why a host was turned away: lies are worse than silence. */
export type Offence = BlamedFor;

/** How long a host is not asked after an offence, in ms; doubled with each further one up to the hour. */
const PENALTY_MS: Readonly<Record<Offence, number>> = {
  wrongBytes: 600_000,
  falseVoucher: 600_000,
  stalled: 60_000,
  unreachable: 10_000,
};
const MAX_PENALTY_MS = 3_600_000;
/** Hosts remembered; the oldest go first. */
const MAX_HOSTS = 4096;

interface Quarantine {
  readonly untilMs: number;
  readonly penaltyMs: number;
  readonly offence: Offence;
}

/** Remembers, across tasks, which hosts are not worth asking for a while. */
export class Reputation {
  readonly #clock: () => number;
  readonly #hosts = new Map<string, Quarantine>();

  /** @param clock Unix time in ms */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  blame(hostId: string, offence: Offence): void {
    const before = this.#hosts.get(hostId);
    const penaltyMs = Math.min(Math.max(PENALTY_MS[offence], (before?.penaltyMs ?? 0) * 2), MAX_PENALTY_MS);
    // Silence after a lie neither shortens what the lie brought, nor makes it forgotten.
    const untilMs = Math.max(this.#clock() + penaltyMs, before?.untilMs ?? 0);
    const gravest = before !== undefined && isLie(before.offence) && !isLie(offence) ? before.offence : offence;
    this.#hosts.delete(hostId);
    this.#hosts.set(hostId, { untilMs, penaltyMs, offence: gravest });
    if (this.#hosts.size > MAX_HOSTS) {
      const [oldest] = this.#hosts.keys();
      if (oldest !== undefined) this.#hosts.delete(oldest);
    }
  }

  /** The offence was none: somebody else had lied. */
  pardon(hostId: string, offence: Offence): void {
    if (this.#hosts.get(hostId)?.offence === offence) this.#hosts.delete(hostId);
  }

  /**
   * Bytes came from the host that have proved right. Silence is forgotten at once; a lie counts half as much, and that only once its
   * quarantine is over: who lies now and then must not be as good as new in between.
   */
  praise(hostId: string): void {
    const record = this.#hosts.get(hostId);
    if (record === undefined) return;
    if (!isLie(record.offence)) this.#hosts.delete(hostId);
    else if (record.untilMs <= this.#clock()) {
      const penaltyMs = record.penaltyMs / 2;
      if (penaltyMs < PENALTY_MS[record.offence]) this.#hosts.delete(hostId);
      else this.#hosts.set(hostId, { ...record, penaltyMs });
    }
  }

  isTrusted(hostId: string): boolean {
    return (this.#hosts.get(hostId)?.untilMs ?? 0) <= this.#clock();
  }

  /** What it says may be believed, however slow it is. */
  isHonest(hostId: string): boolean {
    const record = this.#hosts.get(hostId);
    return record === undefined || !isLie(record.offence) || record.untilMs <= this.#clock();
  }
}

function isLie(offence: Offence): boolean {
  return offence === 'wrongBytes' || offence === 'falseVoucher';
}
