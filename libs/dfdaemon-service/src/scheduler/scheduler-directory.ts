import type { common } from '@d7y/api';
import type { SchedulerConnection, Schedulers } from '@d7y/peer-engine';
import type { LinkedPeers, SchedulerClient } from '@d7y/peer-protocol';
import { delay, type Logger } from '@d7y/service-kit';
import type { OwnSchedulers } from '../link/own-schedulers.ts';
import { type SchedulerRing, schedulerRing } from '@d7y/swarm';
import { LateAnnouncement } from './late-announcement.ts';
import type { PersistentSeedMemory } from './seed-memory.ts';
import { watchedAnnouncement } from './watched-announcement.ts';

/** What a scheduler looks like from here. */
export interface SchedulerStatus {
  /** `ip:port`. */
  readonly address: string;
  /** It serves, and knows this host. */
  readonly reachable: boolean;
  /** One of ours, rather than a stock one; undefined while it never answered. */
  readonly isOurs: boolean | undefined;
}

export interface SchedulerDirectoryOptions {
  /** Where schedulers are now; a failure keeps those known before. */
  readonly addresses: () => Promise<readonly string[]>;
  readonly connect: (address: string) => SchedulerClient;
  /** This host, as announced. */
  readonly describeHost: () => Promise<common.Host>;
  readonly seeds: PersistentSeedMemory;
  /** How often `addresses` is asked. */
  readonly refreshIntervalMs: number;
  /** How often each scheduler's health is checked. */
  readonly checkIntervalMs: number;
  /** How often this host is announced to each scheduler that serves. */
  readonly announceIntervalMs: number;
  /** How often schedulers are asked for their seeds. */
  readonly seedIntervalMs: number;
  /** Milliseconds that only grow. */
  readonly now?: () => number;
  readonly logger: Logger;
}

/** How long a download waits for the stream with a scheduler that was found, or may have been restarted, a moment ago. */
const LINK_WAIT_MS = 1_000;
/** A scheduler that went down, or was not there at first, is looked at again after about this, for some time. */
const RETRY_MS = 1_000;
const RETRY_FOR_MS = 60_000;
/** A scheduler that came back has heard after this time who has what, and who fetches it. */
const BACK_MS = 20_000;

/** The streams of this daemon with schedulers of ours. */
export interface StreamsWithSchedulers {
  /** Where downloads are registered with a scheduler; undefined while no stream with it stands. */
  peersAt(address: string): LinkedPeers | undefined;
  /** Resolves when a stream with it stands, or after this time. Never rejects. */
  opened(address: string, timeoutMs: number): Promise<void>;
}

/** A scheduler this daemon knows. `down` → `up` when it serves and has taken our announcement; back when it does not. */
interface Entry {
  readonly client: SchedulerClient;
  state: 'down' | 'up';
  isOurs: boolean | undefined;
  /** It takes registrations over the stream of this daemon. */
  takesPeers: boolean;
  /** When it went down, or was heard of first; the next check of it. */
  downSinceMs: number;
  /** That it is not there was told. */
  isMissed: boolean;
  /** When it was there again after it had been gone, or may have been. */
  backAtMs: number;
  retry: NodeJS.Timeout | undefined;
  announcedAtMs: number;
  seedsAtMs: number;
  /** A check under way; there is never more than one. */
  checking: Promise<void> | undefined;
  /** A conversation broke: the scheduler may have forgotten us. */
  isSuspect: boolean;
}

/**
 * The schedulers of this daemon: finds them, watches their health, announces this host to each that serves (and again to one that came
 * back) and learns seeds from them. Owner of their clients. Nothing waits for it: a daemon starts with no scheduler and uses one once it is there.
 */
export class SchedulerDirectory implements Schedulers, OwnSchedulers, AsyncDisposable {
  readonly #options: SchedulerDirectoryOptions;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<() => void>();
  #ring: SchedulerRing = schedulerRing([]);
  #streams: StreamsWithSchedulers | undefined;
  #running: Promise<void> | undefined;
  readonly #firstRound = Promise.withResolvers<void>();

  constructor(options: SchedulerDirectoryOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Begins to look for schedulers, and goes on until disposed. */
  start(): void {
    this.#running ??= this.#run().catch(() => undefined);
  }

  /** Resolves when every scheduler was looked at once, or after this time: what is pulled earlier would know of none. Never rejects. */
  async met({ timeoutMs }: { timeoutMs: number }): Promise<void> {
    const met = new AbortController();
    const waited = delay(timeoutMs, { signal: AbortSignal.any([met.signal, this.#stopping.signal]) });
    await Promise.race([this.#firstRound.promise, waited.catch(() => undefined)]);
    met.abort();
  }

  /** From now on downloads are registered over the stream with a scheduler, where one stands. */
  registerOver(streams: StreamsWithSchedulers): void {
    this.#streams = streams;
  }

  candidates(taskId: string): readonly SchedulerConnection[] {
    return this.#ring.ordered(taskId).flatMap((address) => {
      const entry = this.#entries.get(address);
      return entry?.state === 'up' ? [this.#connectionOf(entry)] : [];
    });
  }

  isBack(address: string): boolean {
    return this.#now() - (this.#entries.get(address)?.backAtMs ?? -Infinity) < BACK_MS;
  }

  /** Clients of the schedulers that serve, the owner of the task first. */
  clientsFor(taskId: string): readonly SchedulerClient[] {
    return this.#ring.ordered(taskId).flatMap((address) => {
      const entry = this.#entries.get(address);
      return entry?.state === 'up' ? [entry.client] : [];
    });
  }

  own(): readonly SchedulerClient[] {
    return [...this.#entries.values()].flatMap(({ client, state, isOurs }) =>
      state === 'up' && isOurs === true ? [client] : [],
    );
  }

  order(taskId: string): readonly string[] {
    return this.#ring.ordered(taskId);
  }

  doubt(address: string): void {
    const entry = this.#entries.get(address);
    if (entry === undefined || this.#stopping.signal.aborted) return;
    // One that was restarted answers health checks like the one before, but knows nobody: announce again.
    entry.isSuspect = true;
    void this.#check(entry);
  }

  retire(address: string): void {
    const entry = this.#entries.get(address);
    if (entry !== undefined && !this.#stopping.signal.aborted) this.#down(entry, undefined);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** All of them, in the order in which they are asked about a task. */
  statusFor(taskId: string): readonly SchedulerStatus[] {
    const byAddress = new Map(this.status().map((status) => [status.address, status]));
    return this.#ring.ordered(taskId).flatMap((address) => byAddress.get(address) ?? []);
  }

  status(): readonly SchedulerStatus[] {
    return [...this.#entries.values()].map(({ client, state, isOurs }) => ({
      address: client.address,
      reachable: state === 'up',
      isOurs,
    }));
  }

  /** One round of everything: addresses, health, announcements that are due, seeds. For the first start, and for tests. */
  async refresh(): Promise<void> {
    await this.#lookUp();
    await this.#checkAll();
  }

  /** Takes this host out of all schedulers; bounded by the signal. */
  async leave({ signal }: { signal: AbortSignal }): Promise<void> {
    await Promise.allSettled(
      [...this.#entries.values()]
        .filter(({ state }) => state === 'up')
        .map(({ client }) => client.deleteHost({ signal })),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await Promise.all(
      [...this.#entries.values()].map(async ({ client, checking, retry }) => {
        clearTimeout(retry);
        await checking;
        await client[Symbol.asyncDispose]();
      }),
    );
    this.#entries.clear();
    await this.#options.seeds.flush();
  }

  async #run(): Promise<void> {
    const { refreshIntervalMs, checkIntervalMs } = this.#options;
    const { signal } = this.#stopping;
    let lookedUpAtMs = -Infinity;
    while (!signal.aborted) {
      if (this.#now() - lookedUpAtMs >= refreshIntervalMs || this.#entries.size === 0) {
        lookedUpAtMs = this.#now();
        await this.#lookUp();
      }
      await this.#checkAll();
      this.#firstRound.resolve();
      await delay(checkIntervalMs, { signal, unref: true });
    }
  }

  async #lookUp(): Promise<void> {
    const { addresses, connect, seeds, logger } = this.#options;
    let found: readonly string[];
    try {
      found = await addresses();
    } catch (error) {
      logger.warn({ err: error, known: [...this.#entries.keys()] }, 'schedulers cannot be looked up; those known stay');
      return;
    }
    const wanted = new Set(found);
    for (const [address, entry] of this.#entries) {
      if (wanted.has(address)) continue;
      this.#entries.delete(address);
      void entry.client[Symbol.asyncDispose]();
    }
    for (const address of wanted) {
      if (this.#entries.has(address)) continue;
      this.#entries.set(address, {
        client: connect(address),
        state: 'down',
        isOurs: undefined,
        takesPeers: false,
        downSinceMs: this.#now(),
        isMissed: false,
        backAtMs: -Infinity,
        retry: undefined,
        announcedAtMs: -Infinity,
        seedsAtMs: -Infinity,
        checking: undefined,
        isSuspect: false,
      });
    }
    this.#ring = schedulerRing(wanted);
    seeds.keepSchedulers(wanted);
    this.#changed();
  }

  async #checkAll(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => this.#check(entry)));
  }

  #check(entry: Entry): Promise<void> {
    entry.checking ??= this.#checkOne(entry).finally(() => (entry.checking = undefined));
    return entry.checking;
  }

  /** Never rejects. */
  async #checkOne(entry: Entry): Promise<void> {
    const { announceIntervalMs, seedIntervalMs, describeHost, seeds, logger } = this.#options;
    const { client } = entry;
    const { signal } = this.#stopping;
    try {
      if (!(await client.checkHealth({ signal }))) return this.#down(entry, undefined);
      if (entry.state === 'down' || entry.isSuspect || this.#now() - entry.announcedAtMs >= announceIntervalMs) {
        const wasThere = entry.isOurs !== undefined;
        if (entry.isSuspect || (entry.state === 'down' && wasThere)) entry.backAtMs = this.#now();
        entry.isSuspect = false;
        const hello = await client.hello({ signal });
        await client.announceHost(await describeHost(), announceIntervalMs, { signal });
        entry.announcedAtMs = this.#now();
        entry.isOurs = hello !== undefined;
        entry.takesPeers = hello?.features.includes('peers') === true;
        entry.seedsAtMs = -Infinity;
        if (entry.state === 'down') {
          entry.state = 'up';
          entry.isMissed = false;
          logger.info(
            { scheduler: client.address, isOurs: entry.isOurs, version: hello?.version },
            'a scheduler is there',
          );
        }
        this.#changed();
      }
    } catch (error) {
      if (!signal.aborted) this.#down(entry, error);
      return;
    }
    if (this.#now() - entry.seedsAtMs < seedIntervalMs) return;
    try {
      seeds.learn(client.address, await client.listHosts(1, { signal }));
      entry.seedsAtMs = this.#now();
    } catch (error) {
      logger.debug({ scheduler: client.address, err: error }, 'a scheduler does not tell its seeds');
    }
  }

  #down(entry: Entry, error: unknown): void {
    const { logger } = this.#options;
    const facts = { scheduler: entry.client.address, err: error };
    if (entry.state === 'up') {
      logger.warn(facts, 'a scheduler is gone');
      entry.downSinceMs = this.#now();
    } else if (!entry.isMissed) logger.warn(facts, 'a scheduler does not answer yet');
    entry.isMissed = true;
    entry.state = 'down';
    this.#changed();
    this.#retrySoon(entry);
  }

  /** One that was restarted is back within seconds, and all its daemons are waiting for it: they must not come at the same moment. */
  #retrySoon(entry: Entry): void {
    clearTimeout(entry.retry);
    const { signal } = this.#stopping;
    if (signal.aborted || this.#now() - entry.downSinceMs > RETRY_FOR_MS) return;
    entry.retry = setTimeout(
      () => {
        if (!signal.aborted && this.#entries.get(entry.client.address) === entry) void this.#check(entry);
      },
      RETRY_MS * (0.5 + Math.random()),
    );
    entry.retry.unref();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #isLinkExpected({ isSuspect, checking, announcedAtMs }: Entry): boolean {
    return isSuspect || checking !== undefined || this.#now() - announcedAtMs < LINK_WAIT_MS;
  }

  #connectionOf(entry: Entry): SchedulerConnection {
    const { client } = entry;
    return {
      address: client.address,
      announcePeer: (registration, options) => {
        const streams = entry.takesPeers ? this.#streams : undefined;
        const begin = () => (streams?.peersAt(client.address) ?? client).announcePeer(registration, options);
        // A scheduler that has just come back does not know the host on any other way yet, or what its downloads hold.
        const announcement =
          streams !== undefined && streams.peersAt(client.address) === undefined && this.#isLinkExpected(entry)
            ? new LateAnnouncement(streams.opened(client.address, LINK_WAIT_MS), begin)
            : begin();
        return watchedAnnouncement(announcement, () => this.doubt(client.address));
      },
    };
  }
}
