import { createClient } from '@connectrpc/connect';
import type { Client, Transport } from '@connectrpc/connect';
import { swarmListing } from '@d7y/api';
import type { Logger } from '@d7y/service-kit';
import { delay, linkedSignal } from '@d7y/service-kit';

type Listing = Client<typeof swarmListing.SwarmListingService>;
type ListedTask = swarmListing.ListedTask;
type ListedPeer = swarmListing.ListedPeer;
type ListedTransfer = swarmListing.ListedTransfer;

/** A scheduler that may be asked. */
export interface AskedScheduler {
  readonly ip: string;
  readonly port: number;
  readonly schedulerClusterId: number;
}

/** Something that a scheduler told, and of which cluster it is. */
export interface Told<T> {
  readonly schedulerClusterId: number;
  readonly told: T;
}

/** What those told that answered. */
export interface Telling<T> {
  readonly items: readonly Told<T>[];
  /** `ip:port` of schedulers that did not answer in time, or whose lists are longer than what is read of them. */
  readonly incomplete: readonly string[];
  /** Clusters of those: what one of them does not seem to have, it may have. */
  readonly incompleteClusters: ReadonlySet<number>;
}

export interface SwarmListingOptions {
  /** Schedulers that are active: of one cluster, or all. */
  readonly schedulers: (schedulerClusterId: number | undefined) => Promise<readonly AskedScheduler[]>;
  readonly connect: (ip: string, port: number) => Transport;
  readonly logger: Logger;
  /** Schedulers asked at once. Default: 64. */
  readonly maxParallel?: number;
  /** Between an answer and the next question in its place: a thousand connections that are opened in a row hold up everybody else. Default: 0. */
  readonly pauseMs?: number;
  /** For all answers together; an answer to a person is better incomplete than late. */
  readonly deadlineMs?: number;
  /** Rows that are read of one scheduler. */
  readonly maxRows?: number;
  /** Rows that are read of all of them together, give or take those of a page each. */
  readonly maxRowsTogether?: number;
}

const DEFAULT_DEADLINE_MS = 3_000;
const DEFAULT_MAX_ROWS = 10_000;
const PAGE_SIZE = 500;
/** A scheduler that is silent holds up those that wait for their turn. */
const PAGE_DEADLINE_MS = 5_000;
const DEFAULT_MAX_PARALLEL = 64;

interface Page<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string;
}

/** Asks the schedulers of all clusters for what only they know. Stock schedulers do not tell, and are named as missing. */
export class SwarmListing {
  readonly #options: SwarmListingOptions;

  constructor(options: SwarmListingOptions) {
    this.#options = options;
  }

  tasks(
    filter: {
      readonly clusterId?: number | undefined;
      readonly state?: string | undefined;
      readonly idPrefix?: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<Telling<ListedTask>> {
    const { clusterId, state = '', idPrefix: taskIdPrefix = '' } = filter;
    return this.#askAll(clusterId, signal, async (client, page, options) => {
      const { tasks: items, nextPageToken } = await client.listTasks({ ...page, state, taskIdPrefix }, options);
      return { items, nextPageToken };
    });
  }

  peers(
    filter: {
      readonly clusterId?: number | undefined;
      readonly taskId?: string | undefined;
      readonly hostId?: string | undefined;
      readonly state?: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<Telling<ListedPeer>> {
    const { clusterId, taskId: taskIdPrefix = '', hostId = '', state = '' } = filter;
    return this.#askAll(clusterId, signal, async (client, page, options) => {
      const { peers: items, nextPageToken } = await client.listPeers({ ...page, taskIdPrefix, hostId, state }, options);
      return { items, nextPageToken };
    });
  }

  transfers(
    filter: {
      readonly clusterId?: number | undefined;
      readonly taskId?: string | undefined;
      readonly hostId?: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<Telling<ListedTransfer>> {
    const { clusterId, taskId: taskIdPrefix = '', hostId = '' } = filter;
    return this.#askAll(clusterId, signal, async (client, page, options) => {
      const { transfers: items, nextPageToken } = await client.listTransfers(
        { ...page, taskIdPrefix, hostId },
        options,
      );
      return { items, nextPageToken };
    });
  }

  async #askAll<T>(
    clusterId: number | undefined,
    signal: AbortSignal,
    ask: (
      client: Listing,
      page: { pageSize: number; pageToken: string },
      options: { signal: AbortSignal },
    ) => Promise<Page<T>>,
  ): Promise<Telling<T>> {
    const { schedulers, connect, logger, deadlineMs = DEFAULT_DEADLINE_MS, maxRows = DEFAULT_MAX_ROWS } = this.#options;
    const { maxRowsTogether = Infinity, maxParallel = DEFAULT_MAX_PARALLEL, pauseMs = 0 } = this.#options;
    const asked = await schedulers(clusterId);
    const items: Told<T>[] = [];
    const incomplete: string[] = [];
    const incompleteClusters = new Set<number>();
    using deadline = linkedSignal(signal, AbortSignal.timeout(deadlineMs));
    const askOne = async ({ ip, port, schedulerClusterId }: AskedScheduler): Promise<void> => {
      const client = createClient(swarmListing.SwarmListingService, connect(ip, port));
      let [rows, pageToken] = [0, ''];
      const isIncomplete = (): void => {
        incomplete.push(addressOf(ip, port));
        incompleteClusters.add(schedulerClusterId);
      };
      if (items.length >= maxRowsTogether) return isIncomplete();
      try {
        do {
          using inTime = linkedSignal(deadline.signal, AbortSignal.timeout(PAGE_DEADLINE_MS));
          const page = await ask(client, { pageSize: PAGE_SIZE, pageToken }, { signal: inTime.signal });
          for (const told of page.items) items.push({ schedulerClusterId, told });
          rows += page.items.length;
          pageToken = page.nextPageToken;
        } while (pageToken !== '' && rows < maxRows && items.length < maxRowsTogether);
        if (pageToken !== '') isIncomplete();
      } catch (error) {
        signal.throwIfAborted();
        isIncomplete();
        logger.debug({ err: error, scheduler: addressOf(ip, port) }, 'a scheduler does not tell what it knows');
      }
    };
    const waiting = [...asked];
    const askNext = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        await askOne(next);
        if (pauseMs > 0 && waiting.length > 0) await delay(pauseMs, { signal });
      }
    };
    await Promise.all(Array.from({ length: Math.min(maxParallel, asked.length) }, askNext));
    return { items, incomplete: incomplete.sort(), incompleteClusters };
  }
}

const addressOf = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

/** Tasks as the schedulers of all clusters told them, the latest first: a task that several schedulers of a cluster know is one. */
export function joinTasks(told: readonly Told<ListedTask>[]): readonly Told<ListedTask>[] {
  const tasks = new Map<string, Told<ListedTask>>();
  for (const { schedulerClusterId, told: task } of told) {
    const key = `${schedulerClusterId} ${task.id}`;
    const other = tasks.get(key);
    tasks.set(key, { schedulerClusterId, told: other === undefined ? task : joined(other.told, task) });
  }
  return [...tasks.values()].sort(
    ({ told: left }, { told: right }) =>
      Number(right.updatedAtMs - left.updatedAtMs) || left.id.localeCompare(right.id),
  );
}

/** What two schedulers tell of one task: the later word counts, peers are those of both. */
function joined(one: ListedTask, other: ListedTask): ListedTask {
  const [earlier, later] = one.updatedAtMs <= other.updatedAtMs ? [one, other] : [other, one];
  const lengths = ['contentLength', 'pieceLength', 'pieceCount'] as const;
  const onlyEarlier = lengths.filter((name) => later[name] === undefined && earlier[name] !== undefined);
  return {
    ...{ ...later, ...Object.fromEntries(onlyEarlier.map((name) => [name, earlier[name]])) },
    peers: one.peers + other.peers,
    seedPeers: one.seedPeers + other.seedPeers,
    createdAtMs: one.createdAtMs < other.createdAtMs ? one.createdAtMs : other.createdAtMs,
  };
}
