/** How long a refusal is remembered, in ms. */
const REMEMBERED_MS = 5_000;
/** Origins remembered, at most; the oldest refusals go first. */
const MAX_ORIGINS = 1024;

/**
 * Origins that refused connections a moment ago, also when asked again: nobody need wait through the same attempts for the next blob, since
 * a client that knows the origin itself gets on faster without us.
 */
export class RefusingHosts {
  readonly #clock: () => number;
  /** By origin (`https://host:port`), the latest refusal last. */
  readonly #refusedAtMs = new Map<string, number>();

  /** @param clock time in ms */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  has(url: string): boolean {
    const atMs = this.#refusedAtMs.get(originOf(url));
    return atMs !== undefined && this.#clock() - atMs < REMEMBERED_MS;
  }

  refused(url: string): void {
    const origin = originOf(url);
    this.#refusedAtMs.delete(origin);
    this.#refusedAtMs.set(origin, this.#clock());
    if (this.#refusedAtMs.size <= MAX_ORIGINS) return;
    const [oldest] = this.#refusedAtMs.keys();
    if (oldest !== undefined) this.#refusedAtMs.delete(oldest);
  }

  answered(url: string): void {
    this.#refusedAtMs.delete(originOf(url));
  }
}

function originOf(url: string): string {
  return URL.parse(url)?.origin ?? url;
}
