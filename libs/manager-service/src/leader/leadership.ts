import type { Database } from '@d7y/manager-db';
import type { Logger } from '@d7y/service-kit';
import { delay, linkedSignal } from '@d7y/service-kit';

/** Work that one manager at a time does, again and again. */
export interface LeaderTask {
  /** For logs and metrics. */
  readonly name: string;
  readonly intervalMs: number;
  run(options: { readonly signal: AbortSignal }): Promise<void>;
}

export interface LeadershipOptions {
  readonly database: Pick<Database, 'pool'>;
  readonly tasks: readonly LeaderTask[];
  readonly logger: Logger;
  /** How often those who do not lead try to. */
  readonly tryIntervalMs?: number;
  /** Told of every run of a task. */
  readonly onRun?: (task: string, error: unknown) => void;
}

/** "leader" in the alphabet of a telephone; whoever leads holds the advisory lock of this number, with a connection of its own. */
const LOCK = 532_337;
const TRY_INTERVAL_MS = 5_000;
/** A connection that says nothing for so long is gone, and with it the lock. */
const PROOF_INTERVAL_MS = 5_000;
/** The first run of a task, so that a manager that starts is not busy with all of them. */
const FIRST_RUN_MS = 1_000;

/**
 * Decides which manager does the work in the background. The lock belongs to a connection: it goes with the process, however that ends,
 * and another manager takes over within seconds.
 */
export class Leadership {
  readonly #options: LeadershipOptions;
  #isLeader = false;

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Tries to lead, and leads, until the signal ends it. Never rejects. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const { logger, tryIntervalMs = TRY_INTERVAL_MS } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#term(signal);
      } catch (error) {
        if (signal.aborted) break;
        logger.warn({ err: error, wasLeader: this.#isLeader }, 'the lock of the leader cannot be asked for');
      } finally {
        this.#isLeader = false;
      }
      await delay(tryIntervalMs, { signal, unref: true }).catch(() => undefined);
    }
  }

  /** One attempt; if it succeeds, until the lock is lost. */
  async #term(signal: AbortSignal): Promise<void> {
    const { database, logger } = this.#options;
    const client = await database.pool.connect();
    using lost = linkedSignal(signal);
    const onError = (error: Error): void => lost.abort(error);
    client.on('error', onError);
    let isHeld = false;
    try {
      const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [LOCK]);
      isHeld = rows[0]?.held === true;
      if (!isHeld) return;
      this.#isLeader = true;
      logger.info('this manager leads: it does the work in the background');
      const working = Promise.all(this.#options.tasks.map((task) => this.#repeat(task, lost.signal)));
      try {
        while (!lost.signal.aborted) {
          await delay(PROOF_INTERVAL_MS, { signal: lost.signal, unref: true }).catch(() => undefined);
          if (!lost.signal.aborted) await client.query('select 1');
        }
      } catch (error) {
        logger.warn({ err: error }, 'the lock of the leader is lost');
      } finally {
        lost.abort();
        await working;
      }
    } finally {
      client.off('error', onError);
      // Closed rather than given back: whatever happened, the lock does not stay with the connection.
      client.release(isHeld);
    }
  }

  async #repeat(task: LeaderTask, signal: AbortSignal): Promise<void> {
    const { name, intervalMs } = task;
    const { logger, onRun } = this.#options;
    let waitMs = Math.min(FIRST_RUN_MS, intervalMs);
    while (!signal.aborted) {
      await delay(waitMs, { signal, unref: true }).catch(() => undefined);
      if (signal.aborted) return;
      waitMs = intervalMs;
      try {
        await task.run({ signal });
        onRun?.(name, undefined);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error, task: name }, 'work in the background failed; it is tried again');
        onRun?.(name, error);
      }
    }
  }
}
