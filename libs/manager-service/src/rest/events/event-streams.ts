import type { ServerResponse } from 'node:http';
import type { EventTopic } from '@d7y/manager-api';
import type { Metrics } from '@d7y/service-kit';
import { linkedSignal } from '@d7y/service-kit';
import { Counter, Gauge } from 'prom-client';
import { TooManyRequestsError, UnavailableError } from '../errors.ts';
import type { StreamEnd, StreamLimits } from './event-stream.ts';
import { sendEvents } from './event-stream.ts';
import type { EventIds } from './event-text.ts';
import type { Feeds } from './feeds.ts';

export interface EventLimits extends StreamLimits {
  /** Streams of this process. */
  readonly maxStreams: number;
  /** Those of one user. */
  readonly maxStreamsOfUser: number;
}

export interface EventStreamsOptions {
  readonly feeds: Feeds;
  readonly ids: EventIds;
  readonly limits: EventLimits;
  readonly metrics: Metrics;
  /** The manager stops: streams end, and none begins. */
  readonly stopping: AbortSignal;
}

export interface NewStream {
  readonly userId: number;
  readonly topics: readonly EventTopic[];
  /** Asks whether the client may still listen; see `sendEvents`. */
  readonly recheck: () => Promise<void>;
  /** Begins the answer. Called when there is room for it. */
  readonly begin: () => ServerResponse;
}

const PREFIX = 'dragonfly_manager_';
const ENDS: readonly StreamEnd[] = ['gone', 'slow', 'access', 'unverified', 'stopping'];
/** When who found no place may ask again. */
const RETRY_AFTER_MS = 10_000;

/** The streams of events of one manager: no more than it has room for, and none that outlives it. */
export class EventStreams implements AsyncDisposable {
  readonly #options: EventStreamsOptions;
  readonly #stopping;
  readonly #ofUser = new Map<number, number>();
  readonly #open = new Set<Promise<void>>();
  readonly #ended;

  constructor(options: EventStreamsOptions) {
    this.#options = options;
    this.#stopping = linkedSignal(options.stopping);
    const registers = [options.metrics.registry];
    const open = this.#open;
    new Gauge({
      name: `${PREFIX}event_streams`,
      help: 'streams of events to clients',
      registers,
      collect() {
        this.set(open.size);
      },
    });
    this.#ended = new Counter({
      name: `${PREFIX}event_streams_ended_total`,
      help: 'streams of events that have ended, by why',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of ENDS) this.#ended.inc({ reason }, 0);
  }

  /**
   * Begins a stream, which goes on by itself.
   * @throws {UnavailableError} no room, or the manager stops; {@link TooManyRequestsError} this user has enough
   */
  open({ userId, begin, ...stream }: NewStream): void {
    const { limits, feeds, ids } = this.#options;
    const { signal } = this.#stopping;
    if (signal.aborted) throw new UnavailableError('the manager is stopping');
    const ofUser = this.#ofUser.get(userId) ?? 0;
    if (ofUser >= limits.maxStreamsOfUser)
      throw new TooManyRequestsError(`you have ${ofUser} streams of events already`, RETRY_AFTER_MS);
    if (this.#open.size >= limits.maxStreams)
      throw new UnavailableError(`${limits.maxStreams} clients listen already, more cannot`, {
        retryAfterMs: RETRY_AFTER_MS,
      });
    this.#ofUser.set(userId, ofUser + 1);
    const running = sendEvents({
      ...{ ...stream, response: begin(), feeds, ids, limits, signal },
      onEnd: (reason) => this.#ended.inc({ reason }),
    }).then(() => {
      this.#open.delete(running);
      const left = (this.#ofUser.get(userId) ?? 1) - 1;
      if (left > 0) this.#ofUser.set(userId, left);
      else this.#ofUser.delete(userId);
    });
    this.#open.add(running);
  }

  /** Ends all of them, and waits until they have. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#open);
    this.#stopping[Symbol.dispose]();
  }
}
