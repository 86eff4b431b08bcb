import { Counter } from 'prom-client';
import type { LabelValues, MetricObjectWithValues, MetricValue } from 'prom-client';

interface Tally<L extends string> {
  readonly labels: LabelValues<L> | undefined;
  pending: number;
}

/** A counter of what happens many thousand times a second: labels are looked up when somebody reads it, not when something is counted. */
export class TalliedCounter<L extends string = string> extends Counter<L> {
  readonly #tallies: Tally<L>[] = [];

  /** Made once for each set of labels, of which there must be few. @returns what counts */
  tally(labels?: LabelValues<L>): (count?: number) => void {
    const tally: Tally<L> = { labels, pending: 0 };
    this.#tallies.push(tally);
    return (count = 1) => {
      tally.pending += count;
    };
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<L>>> {
    for (const tally of this.#tallies) {
      const { labels, pending } = tally;
      tally.pending = 0;
      if (pending === 0) continue;
      if (labels === undefined) this.inc(pending);
      else this.inc(labels, pending);
    }
    return super.get();
  }
}
