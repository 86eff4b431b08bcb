import { delay } from '@d7y/service-kit';
import type { Cluster, Redis } from 'ioredis';
import pg from 'pg';

/**
 * Tells all workers that a job is not wanted any more. It may miss somebody: what counts is the job's row, which workers look at, too; this
 * makes it sooner.
 */
export interface CancelChannel extends AsyncDisposable {
  publish(jobId: number): Promise<void>;
  /** Hears of every job from now on. */
  listen(onCancel: (jobId: number) => void): void;
}

const RECONNECT_MS = 1_000;

function toJobId(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,15}$/.test(text) ? Number(text) : undefined;
}

export class RedisCancelChannel implements CancelChannel {
  readonly #publisher: Redis | Cluster;
  readonly #connect: () => Redis | Cluster;
  readonly #channel: string;
  readonly #onError: (error: Error) => void;
  #subscriber: Redis | Cluster | undefined;

  constructor(
    publisher: Redis | Cluster,
    connect: () => Redis | Cluster,
    channel: string,
    onError: (error: Error) => void,
  ) {
    this.#publisher = publisher;
    this.#connect = connect;
    this.#channel = channel;
    this.#onError = onError;
  }

  async publish(jobId: number): Promise<void> {
    await this.#publisher.publish(this.#channel, String(jobId));
  }

  listen(onCancel: (jobId: number) => void): void {
    const subscriber = (this.#subscriber ??= this.#connect());
    subscriber.on('error', this.#onError);
    subscriber.on('message', (_channel: string, text: string) => {
      const jobId = toJobId(text);
      if (jobId !== undefined) onCancel(jobId);
    });
    // The client subscribes again by itself whenever it has to connect anew.
    subscriber.subscribe(this.#channel).catch(this.#onError);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriber?.disconnect();
    await Promise.resolve();
  }
}

export class PostgresCancelChannel implements CancelChannel {
  readonly #client: pg.ClientConfig;
  readonly #channel: string;
  readonly #onError: (error: Error) => void;
  readonly #stop = new AbortController();
  #publisher: pg.Pool | undefined;
  #listening: Promise<void> | undefined;

  constructor(client: pg.ClientConfig, channel: string, onError: (error: Error) => void) {
    this.#client = client;
    this.#channel = channel;
    this.#onError = onError;
  }

  async publish(jobId: number): Promise<void> {
    if (this.#publisher === undefined) {
      this.#publisher = new pg.Pool({ ...this.#client, max: 1 });
      this.#publisher.on('error', this.#onError);
    }
    await this.#publisher.query('select pg_notify($1, $2)', [this.#channel, String(jobId)]);
  }

  listen(onCancel: (jobId: number) => void): void {
    this.#listening ??= this.#listen(onCancel);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#listening, this.#publisher?.end()]);
  }

  async #listen(onCancel: (jobId: number) => void): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const client = new pg.Client(this.#client);
      const lost = Promise.withResolvers<void>();
      const end = () => lost.resolve();
      client.on('error', (error) => (this.#onError(error), end()));
      client.on('end', end);
      client.on('notification', ({ payload }) => {
        const jobId = toJobId(payload);
        if (jobId !== undefined) onCancel(jobId);
      });
      signal.addEventListener('abort', end, { once: true });
      try {
        await client.connect();
        await client.query(`listen ${pg.escapeIdentifier(this.#channel)}`);
        await lost.promise;
      } catch (error) {
        this.#onError(error as Error);
      } finally {
        signal.removeEventListener('abort', end);
        await client.end().catch(() => undefined);
      }
      await delay(RECONNECT_MS, { signal }).catch(() => undefined);
    }
  }
}
