/** What a server does wrong. Fields combine: a late answer can be slow and then cut. */
export interface Fault {
  /** Waits so long before it does anything. */
  readonly delayMs?: number;
  /** Does nothing before this has settled. */
  readonly after?: Promise<unknown>;
  /** Never answers; the connection stays open. */
  readonly hang?: boolean;
  /** Answers this instead of asking the upstream. */
  readonly status?: number;
  /** Headers of that answer, or replaced in the real one; null removes one. */
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly body?: string;
  /** Cuts the connection after so many body bytes. */
  readonly cutAfterBytes?: number;
  /** Sends the body no faster. */
  readonly bytesPerSec?: number;
  /** Flips a bit of this byte of the body. */
  readonly corruptAtByte?: number;
}

/** A fault, and which requests meet it. */
export interface FaultRule {
  /** Tested against path and query. */
  readonly path: RegExp;
  /** Default: any. */
  readonly method?: string;
  /** How many requests meet it; the rest pass. Default: all. */
  readonly times?: number;
  readonly fault: Fault;
}

/** Takes its rule away again. */
export interface InjectedFault extends Disposable {
  /** How many requests have met it. */
  readonly met: number;
}

/** The rules in force; the newest that matches wins. */
export class FaultTable {
  readonly #rules: { rule: FaultRule; met: number }[] = [];

  inject(rule: FaultRule): InjectedFault {
    const entry = { rule, met: 0 };
    this.#rules.unshift(entry);
    return {
      get met() {
        return entry.met;
      },
      [Symbol.dispose]: () => {
        const index = this.#rules.indexOf(entry);
        if (index >= 0) this.#rules.splice(index, 1);
      },
    };
  }

  /** The fault of one request, which counts as met. */
  take(method: string, url: string): Fault | undefined {
    const entry = this.#rules.find(
      ({ rule, met }) =>
        met < (rule.times ?? Infinity) && (rule.method === undefined || rule.method === method) && rule.path.test(url),
    );
    if (entry === undefined) return undefined;
    entry.met++;
    return entry.rule.fault;
  }

  clear(): void {
    this.#rules.length = 0;
  }
}
