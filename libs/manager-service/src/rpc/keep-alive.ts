import type { HandlerContext } from '@connectrpc/connect';
import { manager } from '@d7y/api';
import type { Logger } from '@d7y/service-kit';
import { linkedSignal, untilAborted } from '@d7y/service-kit';
import type { SchedulerBook, SeedPeerBook } from './books.ts';
import { InvalidRegistrationError, KeepAliveRefusedError, UnknownInstanceError } from './errors.ts';

/** More than all schedulers and seed peers of an installation. */
const MAX_STREAMS = 20_000;

export interface KeepAliveContext {
  readonly schedulers: SchedulerBook;
  readonly seedPeers: SeedPeerBook;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
  /** This process stops: who loses his stream by that has not gone. */
  readonly stopping: AbortSignal;
  readonly maxStreams?: number;
}

/** Who keeps himself alive, as far as a stream tells. */
interface Instance {
  readonly key: string;
  /** @returns whether there is a row */
  beat(now: Date): Promise<boolean>;
  ended(lastSeenAt: Date, now: Date): Promise<void>;
}

/** Owner of the streams by which schedulers and seed peers say that they are there. Of one instance there is one stream: the newest. */
export class KeepAlives {
  readonly #context: KeepAliveContext;
  readonly #streams = new Map<string, AbortController>();
  #count = 0;

  constructor(context: KeepAliveContext) {
    this.#context = context;
  }

  /** Streams at this moment. */
  get size(): number {
    return this.#count;
  }

  /** One stream, to its end. A stream whose instance is not known makes none. */
  readonly keepAlive = async (
    requests: AsyncIterable<manager.KeepAliveRequest>,
    { signal }: Pick<HandlerContext, 'signal'>,
  ): Promise<Record<string, never>> => {
    const { maxStreams = MAX_STREAMS } = this.#context;
    if (this.#count >= maxStreams)
      throw new KeepAliveRefusedError('TOO_MANY_REQUESTS', `${this.#count} streams are open, as many as may be`);
    this.#count++;
    try {
      await this.#serve(requests, signal);
      return {};
    } finally {
      this.#count--;
    }
  };

  async #serve(requests: AsyncIterable<manager.KeepAliveRequest>, signal: AbortSignal): Promise<void> {
    const { clock, logger, stopping } = this.#context;
    const superseded = new AbortController();
    using over = linkedSignal(signal, superseded.signal);
    let instance: Instance | undefined;
    let lastSeenAt = new Date(0);
    try {
      for await (const request of untilAborted(requests, over.signal)) {
        if (instance === undefined) {
          instance = this.#instanceOf(request);
          this.#streams.get(instance.key)?.abort();
          this.#streams.set(instance.key, superseded);
          logger.info({ instance: instance.key }, 'keeps itself alive');
        } else if (instance.key !== keyOf(request)) {
          throw new InvalidRegistrationError('one stream keeps one instance alive');
        }
        lastSeenAt = new Date(clock());
        await this.#beat(instance, lastSeenAt);
      }
      if (superseded.signal.aborted)
        throw new KeepAliveRefusedError('SUPERSEDED', 'a newer stream keeps this instance alive');
    } finally {
      if (instance !== undefined && this.#streams.get(instance.key) === superseded) {
        this.#streams.delete(instance.key);
        if (!stopping.aborted) await this.#end(instance, lastSeenAt);
      }
    }
  }

  /** Without a database the stream goes on: whoever is there stays so for whoever can still see it. */
  async #beat(instance: Instance, now: Date): Promise<void> {
    let isKnown = true;
    try {
      isKnown = await instance.beat(now);
    } catch (error) {
      this.#context.logger.warn({ err: error, instance: instance.key }, 'a sign of life was not written down');
    }
    if (!isKnown) throw new UnknownInstanceError(`${instance.key} has not registered`);
  }

  async #end(instance: Instance, lastSeenAt: Date): Promise<void> {
    const { clock, logger } = this.#context;
    logger.info({ instance: instance.key }, 'does not keep itself alive any more');
    try {
      await instance.ended(lastSeenAt, new Date(clock()));
    } catch (error) {
      logger.warn(
        { err: error, instance: instance.key },
        'the end of a stream was not written down; its time runs out by itself',
      );
    }
  }

  #instanceOf(request: manager.KeepAliveRequest): Instance {
    const { hostname: hostName, ip, clusterId, sourceType } = request;
    const { schedulers, seedPeers } = this.#context;
    const { SCHEDULER_SOURCE, SEED_PEER_SOURCE } = manager.SourceType;
    const book = sourceType === SCHEDULER_SOURCE ? schedulers : sourceType === SEED_PEER_SOURCE ? seedPeers : undefined;
    const identity = { hostName, ip, clusterId: Number(clusterId) };
    if (book !== undefined)
      return {
        key: keyOf(request),
        beat: (now) => book.keepAlive(identity, now),
        ended: (lastSeenAt, now) => book.keepAliveEnded(identity, lastSeenAt, now),
      };
    throw new InvalidRegistrationError('source_type: only schedulers and seed peers keep themselves alive');
  }
}

/** As logs show it, too. */
function keyOf({ sourceType, hostname, ip, clusterId }: manager.KeepAliveRequest): string {
  const kind = sourceType === manager.SourceType.SCHEDULER_SOURCE ? 'scheduler' : 'seed peer';
  return `${kind} ${hostname} at ${ip} of cluster ${clusterId}`;
}
