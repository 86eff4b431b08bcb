import { type Logger, type LastGood, delay } from '@d7y/service-kit';
import type { Clock } from '../clock.ts';
import { ApplicationPriorities } from './application-priorities.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import { NO_SETTINGS } from './cluster-settings.ts';

export interface DynconfigOptions {
  /** Asks the manager, or reads the file. @throws when there is no answer, or none that can be understood */
  readonly ask: (options: { signal: AbortSignal }) => Promise<ClusterSettings>;
  /** Where a manager's last good answer is kept; none for a file, which is its own memory. */
  readonly lastGood?: LastGood<ClusterSettings> | undefined;
  /** For logs: `manager 10.0.0.1:65003`. */
  readonly source: string;
  readonly refreshIntervalMs: number;
  /** Called with the settings that hold from now on, at the start and whenever they change. */
  readonly onChange: (settings: ClusterSettings) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The cluster's settings: asked for in the background, never by somebody who waits. The last good answer stands for as long as there is no
 * other one; before the first there are the scheduler's own defaults.
 */
export class Dynconfig {
  readonly #options: DynconfigOptions;
  #settings: ClusterSettings;
  #text: string;
  #priorities: ApplicationPriorities;
  #confirmedAtMs: number | undefined;
  #isFailing = false;

  constructor(options: DynconfigOptions) {
    this.#options = options;
    this.#settings = options.lastGood?.value ?? NO_SETTINGS;
    this.#text = JSON.stringify(this.#settings);
    this.#priorities = new ApplicationPriorities(this.#settings, options.logger);
    options.onChange(this.#settings);
  }

  get settings(): ClusterSettings {
    return this.#settings;
  }

  get priorities(): ApplicationPriorities {
    return this.#priorities;
  }

  /** How long ago the settings were confirmed; undefined while this process never heard anything. */
  get ageMs(): number | undefined {
    return this.#confirmedAtMs === undefined ? undefined : this.#options.clock() - this.#confirmedAtMs;
  }

  /** Whether the last time that was asked there was no answer. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** Asks once. Never rejects: without an answer what held before holds on. */
  async refresh({ signal }: { signal: AbortSignal }): Promise<void> {
    const { ask, lastGood, source, clock, logger, onChange } = this.#options;
    let settings: ClusterSettings;
    try {
      settings = await ask({ signal });
    } catch (error) {
      if (signal.aborted) return;
      // Once, not every minute of an outage.
      if (!this.#isFailing)
        logger.warn({ err: error, source, ...this.#standing() }, 'no settings of the cluster are to be had');
      this.#isFailing = true;
      return;
    }
    if (this.#isFailing) logger.info({ source }, 'settings of the cluster are to be had again');
    this.#isFailing = false;
    this.#confirmedAtMs = clock();
    await lastGood?.keep(settings);
    const text = JSON.stringify(settings);
    if (text === this.#text) return;
    this.#settings = settings;
    this.#text = text;
    this.#priorities = new ApplicationPriorities(settings, logger);
    logger.info(
      { source, applications: settings.applications.length, ...limitsOf(settings) },
      'settings of the cluster',
    );
    onChange(settings);
  }

  /** Asks again and again, until the signal ends it. Never rejects. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    while (!signal.aborted) {
      await delay(this.#options.refreshIntervalMs, { signal, unref: true }).catch(() => undefined);
      if (!signal.aborted) await this.refresh({ signal });
    }
  }

  #standing(): object {
    const { lastGood } = this.#options;
    if (this.#confirmedAtMs !== undefined) return { standing: 'what was said last', ageMs: this.ageMs };
    return { standing: lastGood?.value === undefined ? 'defaults' : 'what was kept on disk' };
  }
}

const limitsOf = ({ applications: _applications, ...limits }: ClusterSettings): object => limits;
