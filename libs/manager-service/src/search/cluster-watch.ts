import type { Logger } from '@d7y/service-kit';
import { delay } from '@d7y/service-kit';
import type { ClusterSource } from './cluster-facts.ts';
import { ClusterView } from './cluster-view.ts';

export interface ClusterWatchOptions {
  readonly source: ClusterSource;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
  /** How often the version is asked for. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 1_000;

/**
 * Keeps the view of this process up to date: it is made anew when the version of the facts has changed, by whichever manager, and when
 * the time of an active scheduler or seed peer has run out. Without the database the last view stands.
 */
export class ClusterWatch {
  readonly #options: ClusterWatchOptions;
  readonly #listeners = new Set<(view: ClusterView) => void>();
  #view: ClusterView;
  #reading: Promise<ClusterView> | undefined;
  #isFailing = false;
  #told = '';

  private constructor(options: ClusterWatchOptions, view: ClusterView) {
    this.#options = options;
    this.#view = view;
    this.#tell(view);
  }

  /** @throws when the database cannot be asked */
  static async start(options: ClusterWatchOptions): Promise<ClusterWatch> {
    const { source, clock } = options;
    const facts = await source.read();
    return new ClusterWatch(options, new ClusterView(facts, clock()));
  }

  get view(): ClusterView {
    return this.#view;
  }

  /** Whether the last attempt to look failed. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** Calls the listener with every new view. */
  onChange(listener: (view: ClusterView) => void): void {
    this.#listeners.add(listener);
  }

  /** Reads everything anew; callers at the same time share one reading, which begins after they have asked. */
  async refresh(): Promise<ClusterView> {
    await this.#reading?.catch(() => undefined);
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    return await this.#reading;
  }

  /** Reads anew if something has changed. */
  async check(): Promise<void> {
    const { source, clock } = this.#options;
    const version = await source.version();
    if (version !== this.#view.facts.version || clock() >= this.#view.expiresAtMs) await this.refresh();
  }

  /** Checks again and again, until the signal ends it. Never rejects. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const { logger, intervalMs = INTERVAL_MS } = this.#options;
    while (!signal.aborted) {
      await delay(intervalMs, { signal, unref: true }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.check();
        if (this.#isFailing) logger.info('the database tells of clusters again');
        this.#isFailing = false;
      } catch (error) {
        if (!this.#isFailing)
          logger.warn({ err: error }, 'the database does not tell of clusters; what was read last stands');
        this.#isFailing = true;
      }
    }
  }

  async #read(): Promise<ClusterView> {
    const { source, clock } = this.#options;
    const facts = await source.read();
    this.#view = new ClusterView(facts, clock());
    this.#tell(this.#view);
    for (const listener of this.#listeners) listener(this.#view);
    return this.#view;
  }

  /** Once for each set of problems. */
  #tell({ problems }: ClusterView): void {
    const text = JSON.stringify(problems);
    if (text === this.#told) return;
    this.#told = text;
    for (const problem of problems) this.#options.logger.warn(problem, 'a scope of a cluster has no effect');
  }
}
