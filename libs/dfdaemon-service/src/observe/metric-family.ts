import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** 1, 2, 4 … 2^23 ms: from nothing to some hours. */
const DURATION_BUCKETS_MS = Array.from({ length: 24 }, (_, exponent) => 2 ** exponent);

/** A number that only grows, under one name or several. */
export interface GrowingNumber<Label extends string> {
  add(labels: Readonly<Record<Label, string>>, amount?: number): void;
}

/** Makes the metrics of one registry. */
export class MetricFamily {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /**
   * A counter.
   * @param older a second name under which the same is shown, with labels of its own
   */
  counter<Label extends string = never, Older extends string = never>(
    name: string,
    help: string,
    labels: readonly Label[] = [],
    older?: {
      readonly name: string;
      readonly labels?: readonly Older[];
      readonly from?: (labels: Readonly<Record<Label, string>>) => Readonly<Record<Older, string>>;
    },
  ): GrowingNumber<Label> {
    const first = new Counter({ name, help, labelNames: [...labels], registers: [this.#registry] });
    const second =
      older &&
      new Counter({ name: older.name, help, labelNames: [...(older.labels ?? [])], registers: [this.#registry] });
    return {
      add(values, amount = 1) {
        first.inc(values as Record<string, string> as never, amount);
        second?.inc((older?.from?.(values) ?? {}) as never, amount);
      },
    };
  }

  gauge<Label extends string = never>(name: string, help: string, labels: readonly Label[] = []): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [...labels], registers: [this.#registry] });
  }

  /** A gauge that is asked for when it is read. */
  readGauge(name: string, help: string, read: () => number | Promise<number>): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      async collect() {
        this.set(await read());
      },
    });
  }

  durationMs<Label extends string>(name: string, help: string, labels: readonly Label[]): Histogram<Label> {
    return new Histogram({
      name,
      help,
      labelNames: [...labels],
      buckets: DURATION_BUCKETS_MS,
      registers: [this.#registry],
    });
  }
}
