import { parseChallenges } from '@d7y/oci';
import { AgedTable } from '../access/aged-table.ts';

/** What a registry answered when it was asked whether it is one. */
export interface BaseAnswer {
  /** WWW-Authenticate of its 401; undefined when it let anybody in. */
  readonly challenge: string | undefined;
}

export interface RememberedBase extends BaseAnswer {
  readonly upstream: string;
  readonly seenAtMs: number;
}

/**
 * Answers `GET /v2/` while a registry is down: clients that ask it first give up on a pull that could go on without the registry.
 */
export class BaseAnswers {
  readonly #table: AgedTable<BaseAnswer>;
  readonly #changed: () => void;

  constructor(options: { readonly maxEntries: number; readonly clock: () => number; readonly changed: () => void }) {
    this.#table = new AgedTable(options.maxEntries, options.clock);
    this.#changed = options.changed;
  }

  learn(upstream: string, challenge: string | undefined, seenAtMs?: number): void {
    this.#table.set(upstream, { challenge }, seenAtMs);
    this.#changed();
  }

  /** How the registry refuses strangers elsewhere is how it would have refused them here, where nobody asked it. */
  hearRefusal(upstream: string, challenge: string): void {
    if (this.#table.get(upstream, Infinity) === undefined) this.learn(upstream, challenge);
  }

  /**
   * The challenge to answer with, if any: Basic as the registry has it, since who comes back with a password is recognised. What it says
   * of Bearer tokens stays away: its token server need not be up, and a new token proves nothing while nobody can check it.
   */
  challengeWhenDown(upstream: string): string | undefined {
    const challenge = this.#table.get(upstream, Infinity)?.challenge;
    const isBasic = challenge !== undefined && parseChallenges(challenge).some(({ scheme }) => scheme === 'basic');
    return isBasic ? challenge : undefined;
  }

  *remembered(): Generator<RememberedBase> {
    for (const { key, value, seenAtMs } of this.#table.entries()) yield { upstream: key, seenAtMs, ...value };
  }
}
