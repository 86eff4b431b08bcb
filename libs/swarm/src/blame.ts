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

/** Complaints kept per host; more than a rule needs would only cost memory. */
const MAX_COMPLAINTS = 64;

/** Who complained of whom. Hosts drop out with their objects. */
export class Blame {
  readonly #rule: ProbationRule;
  readonly #records = new WeakMap<Host, { complaints: Map<string, number>; untilMs: number }>();

  constructor(rule: ProbationRule) {
    this.#rule = rule;
  }

  /** @returns how many different hosts complained of this one lately */
  complain(parent: Host, childHostId: string, nowMs: number): number {
    let record = this.#records.get(parent);
    if (record === undefined) this.#records.set(parent, (record = { complaints: new Map(), untilMs: -Infinity }));
    const { complaints } = record;
    for (const [hostId, atMs] of complaints) if (nowMs - atMs > this.#rule.windowMs) complaints.delete(hostId);
    if (complaints.size < MAX_COMPLAINTS || complaints.has(childHostId)) complaints.set(childHostId, nowMs);
    const complainants = complaints.size;
    if (complainants >= this.#rule.complainants) {
      record.untilMs = nowMs + this.#rule.durationMs;
      complaints.clear();
    }
    return complainants;
  }

  isOnProbation(host: Host, nowMs: number): boolean {
    return nowMs < (this.#records.get(host)?.untilMs ?? -Infinity);
  }
}
