import { AgedTable } from './aged-table.ts';

/** What the origin said of a repository to nobody in particular. */
export type VisibilityRecord =
  | { readonly state: 'public' }
  | {
      readonly state: 'private';
      /** WWW-Authenticate of its refusal. */
      readonly challenge: string | undefined;
    };

/** One line of what is remembered across restarts. */
export interface RememberedVisibility {
  readonly upstream: string;
  readonly scope: string;
  readonly seenAtMs: number;
  readonly record: VisibilityRecord;
}

/**
 * Which repositories are open to anybody. One bound says how long that goes without asking, another how long it is held to be true while
 * the registry cannot be asked.
 */
export class Visibility {
  readonly #table: AgedTable<VisibilityRecord>;
  readonly #freshMs: number;
  readonly #whenDownMs: number;
  readonly #clock: () => number;
  readonly #changed: () => void;
  readonly #challenged: (upstream: string, challenge: string) => void;

  constructor(options: {
    readonly freshMs: number;
    readonly whenDownMs: number;
    readonly maxEntries: number;
    /** Unix time in ms. */
    readonly clock: () => number;
    /** Told when there is something new to remember. */
    readonly changed?: () => void;
    /** Told of the challenge with which a registry refuses strangers. */
    readonly challenged?: (upstream: string, challenge: string) => void;
  }) {
    this.#table = new AgedTable(options.maxEntries, options.clock);
    this.#freshMs = options.freshMs;
    this.#whenDownMs = options.whenDownMs;
    this.#clock = options.clock;
    this.#changed = options.changed ?? (() => undefined);
    this.#challenged = options.challenged ?? (() => undefined);
  }

  fresh(upstream: string, scope: string): VisibilityRecord | undefined {
    return this.#table.get(keyOf(upstream, scope), this.#freshMs);
  }

  whenDown(upstream: string, scope: string): VisibilityRecord | undefined {
    return this.#table.get(keyOf(upstream, scope), this.#whenDownMs);
  }

  set(upstream: string, scope: string, record: VisibilityRecord, seenAtMs: number = this.#clock()): void {
    this.#table.set(keyOf(upstream, scope), record, seenAtMs);
    if (record.state === 'private' && record.challenge !== undefined) this.#challenged(upstream, record.challenge);
    this.#changed();
  }

  /** Somebody else saw the repository open: true for us only where we know nothing ourselves. */
  hearPublic(upstream: string, scope: string, seenAtMs: number): void {
    if (this.whenDown(upstream, scope) === undefined) this.set(upstream, scope, { state: 'public' }, seenAtMs);
  }

  *remembered(): Generator<RememberedVisibility> {
    for (const { key, value, seenAtMs } of this.#table.entries()) {
      const at = key.indexOf(' ');
      yield { upstream: key.slice(0, at), scope: key.slice(at + 1), seenAtMs, record: value };
    }
  }
}

/** An upstream is scheme and authority, in which there is no space. */
function keyOf(upstream: string, scope: string): string {
  return `${upstream} ${scope}`;
}
