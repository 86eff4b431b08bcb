import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';

/** Of one network card, in bits per second. */
export interface NetworkRates {
  readonly maxRx: number;
  readonly maxTx: number;
  readonly rx: number;
  readonly tx: number;
}

/** What is assumed of a card that does not tell its speed, as virtual ones do not. */
const ASSUMED_BITS_PER_SEC = 10_000_000_000;
/** Rates over less than this say little. */
const MIN_WINDOW_MS = 900;

/** Measures the card that carries an address, by the kernel's counters; one measurement serves all who ask within a second. */
export class NetworkMeter {
  readonly #card: string | undefined;
  readonly #now: () => number;
  readonly #read: (path: string) => Promise<string>;
  #last: { atMs: number; rxBytes: number; txBytes: number } | undefined;
  #rates: Promise<NetworkRates> | undefined;
  #measuredAtMs = -Infinity;

  /** @param ip address of this host that other daemons use */
  constructor(
    ip: string,
    {
      now = () => performance.now(),
      read = (path: string) => readFile(path, 'utf8'),
      cards = networkInterfaces(),
    }: {
      now?: () => number;
      read?: (path: string) => Promise<string>;
      cards?: ReturnType<typeof networkInterfaces>;
    } = {},
  ) {
    this.#card = Object.entries(cards).find(([, addresses]) => addresses?.some(({ address }) => address === ip))?.[0];
    this.#now = now;
    this.#read = read;
  }

  /** Rates since the last measurement; zero at the first. */
  rates(): Promise<NetworkRates> {
    const now = this.#now();
    if (this.#rates === undefined || now - this.#measuredAtMs >= MIN_WINDOW_MS) {
      this.#measuredAtMs = now;
      this.#rates = this.#measure(now);
    }
    return this.#rates;
  }

  async #measure(atMs: number): Promise<NetworkRates> {
    const max = await this.#maxBitsPerSec();
    const counters = await this.#counters();
    const last = this.#last;
    if (counters !== undefined) this.#last = { atMs, ...counters };
    if (counters === undefined || last === undefined) return { maxRx: max, maxTx: max, rx: 0, tx: 0 };
    const perSec = (now: number, before: number): number =>
      Math.max(0, Math.round(((now - before) * 8000) / (atMs - last.atMs)));
    return {
      maxRx: max,
      maxTx: max,
      rx: perSec(counters.rxBytes, last.rxBytes),
      tx: perSec(counters.txBytes, last.txBytes),
    };
  }

  async #counters(): Promise<{ rxBytes: number; txBytes: number } | undefined> {
    const text = await this.#read('/proc/net/dev').catch(() => '');
    for (const line of text.split('\n')) {
      const [name, values] = line.split(':');
      if (values === undefined || name?.trim() !== this.#card) continue;
      const numbers = values.trim().split(/\s+/).map(Number);
      return { rxBytes: numbers[0] ?? 0, txBytes: numbers[8] ?? 0 };
    }
    return undefined;
  }

  async #maxBitsPerSec(): Promise<number> {
    if (this.#card === undefined) return ASSUMED_BITS_PER_SEC;
    const text = await this.#read(`/sys/class/net/${this.#card}/speed`).catch(() => '');
    const megabits = Number(text.trim());
    return megabits > 0 ? megabits * 1_000_000 : ASSUMED_BITS_PER_SEC;
  }
}
