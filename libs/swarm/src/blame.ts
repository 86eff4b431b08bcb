import type { Host } from './host.ts';

/** When children's complaints take a host out of the offers, and for how long. */
export interface ProbationRule {
  /** Different hosts that must complain … */
  readonly complainants: number;
  /** … within this time … */
  readonly windowMs: number;
  /** … for this long an exclusion. */
  readonly durationMs: number;
}

/**
 * What a complaint is about: `service`, a parent that does not deliver, which a network may be guilty of; `honesty`, bytes or vouchers
 * that are not those of the origin.
 */
export type Complaint = 'service' | 'honesty';

/** Complaints kept per host; more than a rule needs would only cost memory. */
const MAX_COMPLAINTS = 64;

/** Who complained of whom. Hosts drop out with their objects. */
export class Blame {
  readonly #rules: Readonly<Record<Complaint, ProbationRule>>;
  readonly #records: Readonly<Record<Complaint, WeakMap<Host, { complaints: Map<string, number>; untilMs: number }>>> =
    {
      service: new WeakMap(),
      honesty: new WeakMap(),
    };

  constructor(rules: Readonly<Record<Complaint, ProbationRule>>) {
    this.#rules = rules;
  }

  /** @returns how many different hosts complained of this one lately */
  complain(complaint: Complaint, host: Host, byHostId: string, nowMs: number): number {
    const rule = this.#rules[complaint];
    const records = this.#records[complaint];
    let record = records.get(host);
    if (record === undefined) records.set(host, (record = { complaints: new Map(), untilMs: -Infinity }));
    const { complaints } = record;
    for (const [hostId, atMs] of complaints) if (nowMs - atMs > rule.windowMs) complaints.delete(hostId);
    if (complaints.size < MAX_COMPLAINTS || complaints.has(byHostId)) complaints.set(byHostId, nowMs);
    const complainants = complaints.size;
    if (complainants >= rule.complainants) {
      record.untilMs = nowMs + rule.durationMs;
      host.guiltyUntilMs = Math.max(host.guiltyUntilMs, record.untilMs);
      complaints.clear();
    }
    return complainants;
  }

  /** Left out of the offers, for whatever reason. */
  isOnProbation(host: Host, nowMs: number): boolean {
    return nowMs < host.guiltyUntilMs;
  }

  /** Its word does not count. */
  isDistrusted(host: Host, nowMs: number): boolean {
    return this.#isGuiltyOf('honesty', host, nowMs);
  }

  #isGuiltyOf(complaint: Complaint, host: Host, nowMs: number): boolean {
    return nowMs < (this.#records[complaint].get(host)?.untilMs ?? -Infinity);
  }
}
