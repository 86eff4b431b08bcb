import type { Logger, Metrics } from '@d7y/service-kit';
import { Counter } from 'prom-client';

/** One call, as it is remembered. */
export interface AuditEntry {
  readonly actorType: 'UNKNOWN' | 'USER' | 'PAT';
  readonly actorName: string;
  /** Method of the request. */
  readonly operation: string;
  readonly operatedAt: Date;
  readonly state: 'SUCCESS' | 'FAILURE';
  /** Without query. */
  readonly path: string;
  readonly statusCode: number;
  /** Never what a request carried. */
  readonly detail: { readonly route: string; readonly ip: string; readonly request_id: string };
}

export interface AuditLogOptions {
  /** Writes entries where they stay. */
  readonly write: (entries: readonly AuditEntry[]) => Promise<void>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Entries that wait at most; further ones are dropped, and counted. */
  readonly capacity?: number;
  readonly intervalMs?: number;
}

const DEFAULT_CAPACITY = 1_000;
const DEFAULT_INTERVAL_MS = 1_000;
const BATCH = 200;

/** Writes entries in batches, away from the requests that they tell of. A database that is away costs entries, never requests. */
export class AuditLog implements AsyncDisposable {
  readonly #options: AuditLogOptions;
  readonly #capacity: number;
  readonly #dropped: Counter;
  readonly #timer: NodeJS.Timeout;
  #waiting: AuditEntry[] = [];
  #writing: Promise<void> | undefined;

  constructor(options: AuditLogOptions) {
    this.#options = options;
    this.#capacity = options.capacity ?? DEFAULT_CAPACITY;
    this.#dropped = new Counter({
      name: 'dragonfly_manager_audit_dropped_total',
      help: 'Entries of the audit log that were lost: too many at once, or the database was away.',
      registers: [options.metrics.registry],
    });
    this.#timer = setInterval(() => void this.flush(), options.intervalMs ?? DEFAULT_INTERVAL_MS);
    this.#timer.unref();
  }

  record(entry: AuditEntry): void {
    if (this.#waiting.length >= this.#capacity) return this.#dropped.inc();
    this.#waiting.push(entry);
    if (this.#waiting.length >= BATCH) void this.flush();
  }

  /** Writes what waits. Never rejects. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      try {
        await this.#options.write(batch);
      } catch (error) {
        this.#dropped.inc(batch.length);
        this.#options.logger.error({ err: error, entries: batch.length }, 'entries of the audit log are lost');
        return;
      }
    }
  }
}
