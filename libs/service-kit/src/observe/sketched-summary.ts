import { Summary } from 'prom-client';
import type { LabelValues, MetricObjectWithValues, MetricValue, SummaryConfiguration } from 'prom-client';

/** Neighbouring buckets differ by this factor: quantiles are right to one percent. */
const GROWTH = 1.02;
const BUCKETS_PER_E = 1 / Math.log(GROWTH);
/** What is smaller counts as this. */
const SMALLEST = 1e-3;
const FIRST_BUCKET = Math.floor(Math.log(SMALLEST) * BUCKETS_PER_E);
/** Values of up to 10¹² are told apart. */
const BUCKET_COUNT = Math.ceil(Math.log(1e12) * BUCKETS_PER_E) - FIRST_BUCKET + 1;

/** As prom-client writes the parts of a summary; its types leave the name out. */
type Part<L extends string> = MetricValue<L> & { readonly metricName?: string };

/** How often values of about one size were seen. */
class Sketch {
  readonly #counts = new Float64Array(BUCKET_COUNT);
  count = 0;
  sum = 0;

  add(value: number): void {
    const bucket = value <= SMALLEST ? 0 : Math.floor(Math.log(value) * BUCKETS_PER_E) - FIRST_BUCKET;
    const index = Math.min(bucket, BUCKET_COUNT - 1);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.count++;
    this.sum += value;
  }

  quantile(share: number): number {
    let left = share * this.count;
    for (const [index, count] of this.#counts.entries()) {
      left -= count;
      if (count > 0 && left <= 0) return index === 0 ? 0 : GROWTH ** (index + FIRST_BUCKET + 0.5);
    }
    return 0;
  }
}

/** A summary of what happens many thousand times a second: a value costs a logarithm, where prom-client keeps a tree. */
export class SketchedSummary<L extends string = string> extends Summary<L> {
  readonly #percentiles: readonly number[];
  readonly #plain = new Sketch();
  readonly #byLabel = new Map<string, { readonly labels: LabelValues<L>; readonly sketch: Sketch }>();
  readonly #label: L | undefined;

  /** @param configuration with one label at the most */
  constructor(configuration: SummaryConfiguration<L> & { readonly percentiles: number[] }) {
    super(configuration);
    this.#percentiles = configuration.percentiles;
    this.#label = configuration.labelNames?.[0];
  }

  override observe(value: number): void;
  override observe(labels: LabelValues<L>, value: number): void;
  override observe(labelsOrValue: LabelValues<L> | number, value?: number): void {
    if (typeof labelsOrValue === 'number') this.#plain.add(labelsOrValue);
    else if (value !== undefined) this.#sketchOf(labelsOrValue).add(value);
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<L>>> {
    const described = await super.get();
    const { name } = described;
    const sketches =
      this.#label === undefined ? [{ labels: {} as LabelValues<L>, sketch: this.#plain }] : [...this.#byLabel.values()];
    const values = sketches.flatMap(({ labels, sketch }): Part<L>[] => [
      ...this.#percentiles.map((quantile) => ({ labels: { quantile, ...labels }, value: sketch.quantile(quantile) })),
      { metricName: `${name}_sum`, labels, value: sketch.sum },
      { metricName: `${name}_count`, labels, value: sketch.count },
    ]);
    return { ...described, values };
  }

  #sketchOf(labels: LabelValues<L>): Sketch {
    const key = String(this.#label === undefined ? '' : labels[this.#label]);
    let found = this.#byLabel.get(key);
    if (found === undefined) this.#byLabel.set(key, (found = { labels, sketch: new Sketch() }));
    return found.sketch;
  }
}
