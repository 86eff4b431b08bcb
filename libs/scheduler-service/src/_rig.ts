import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Client, HandlerContext } from '@connectrpc/connect';
import { createClient } from '@connectrpc/connect';
import { common, dfdaemon, scheduler, swarm, swarmListing } from '@d7y/api';
import { createGrpcConnection } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import { AsyncQueue, createHealth, createLogger, listen } from '@d7y/service-kit';
import type { RunningScheduler, SchedulerOverrides } from './compose.ts';
import { startScheduler } from './compose.ts';
import { readSchedulerConfig } from './config/read-scheduler-config.ts';

export const silent: Logger = createLogger({ name: 'test', level: 'silent' });
export const TASK_ID = 'a'.repeat(64);
const PIECE_LENGTH = 4 * 2 ** 20;

/** A real scheduler on a port of its own, and a client of it. */
export class SchedulerRig implements AsyncDisposable {
  readonly client: Client<typeof scheduler.Scheduler>;
  readonly swarm: Client<typeof swarm.SwarmService>;
  readonly listing: Client<typeof swarmListing.SwarmListingService>;
  readonly running: RunningScheduler;
  readonly #stack: AsyncDisposableStack;

  private constructor(running: RunningScheduler, stack: AsyncDisposableStack) {
    this.running = running;
    this.#stack = stack;
    const connection = stack.use(createGrpcConnection({ host: '127.0.0.1', port: running.port }));
    this.client = createClient(scheduler.Scheduler, connection.transport);
    this.swarm = createClient(swarm.SwarmService, connection.transport);
    this.listing = createClient(swarmListing.SwarmListingService, connection.transport);
  }

  /** @param yaml further sections @param server further keys of the section of that name */
  static async start(overrides: SchedulerOverrides = {}, yaml = '', server = ''): Promise<SchedulerRig> {
    await using stack = new AsyncDisposableStack();
    const text = `server: { port: 0, listenIP: 127.0.0.1, advertiseIP: 127.0.0.1, ${server} }\nscheduler: { settleTime: 0s, state: { enable: ${server.includes('dataDir')} } }\n${yaml}`;
    const running = stack.use(
      await startScheduler(readSchedulerConfig({ text, env: {} }), {
        signal: new AbortController().signal,
        overrides: { logger: silent, processMetrics: false, tickMs: 10, ...overrides },
      }),
    );
    return new SchedulerRig(running, stack.move());
  }

  async announce(id: string, more: MessageInitShape<typeof common.HostSchema> = {}): Promise<void> {
    await this.client.announceHost({ host: hostMessage(id, more), interval: durationFromMs(300_000) });
  }

  /** Opens the stream of a download and registers. */
  register(
    hostId: string,
    more: MessageInitShape<typeof common.DownloadSchema> = {},
    peerId = `${hostId}-peer`,
  ): Download {
    return new Download(this.client, { hostId, taskId: TASK_ID, peerId }, more);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** The client's side of one AnnouncePeer stream. It never half-closes, as stock clients do not. */
export class PeerStream implements AsyncDisposable {
  readonly #ids: { hostId: string; taskId: string; peerId: string };
  readonly #requests = new AsyncQueue<scheduler.AnnouncePeerRequest>(100);
  readonly #answers: AsyncIterator<scheduler.AnnouncePeerResponse>;
  readonly #cancel = new AbortController();

  constructor(
    client: Client<typeof scheduler.Scheduler>,
    ids: { hostId: string; taskId: string; peerId: string },
    headers: Record<string, string> = {},
  ) {
    this.#ids = ids;
    const answers = client.announcePeer(inOrder(this.#requests), { signal: this.#cancel.signal, headers });
    this.#answers = answers[Symbol.asyncIterator]();
  }

  get peerId(): string {
    return this.#ids.peerId;
  }

  say(request: MessageInitShape<typeof scheduler.AnnouncePeerRequestSchema>['request']): void {
    this.#requests.push(create(scheduler.AnnouncePeerRequestSchema, { ...this.#ids, ...(request && { request }) }));
  }

  /** The next answer; undefined when the scheduler has ended the stream. */
  async answer(): Promise<scheduler.AnnouncePeerResponse['response'] | undefined> {
    const next = await this.#answers.next();
    return next.done === true ? undefined : next.value.response;
  }

  /** Breaks off without a word. */
  cut(): void {
    this.#cancel.abort();
    this.#requests.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.#answers.return?.(undefined).catch(() => undefined);
  }
}

/** A stream that begins with a registration. */
export class Download extends PeerStream {
  constructor(
    client: Client<typeof scheduler.Scheduler>,
    ids: { hostId: string; taskId: string; peerId: string },
    download: MessageInitShape<typeof common.DownloadSchema>,
    headers: Record<string, string> = {},
  ) {
    super(client, ids, headers);
    this.say({ case: 'registerPeerRequest', value: { download: downloadMessage(download) } });
  }

  started(): void {
    this.say({ case: 'downloadPeerStartedRequest', value: {} });
  }

  atOrigin(): void {
    this.say({ case: 'downloadPeerBackToSourceStartedRequest', value: {} });
  }

  piece(number: number, parentId?: string): void {
    const piece = {
      number,
      offset: BigInt(number * PIECE_LENGTH),
      length: BigInt(PIECE_LENGTH),
      digest: 'crc32:1',
      trafficType: parentId === undefined ? common.TrafficType.BACK_TO_SOURCE : common.TrafficType.REMOTE_PEER,
      cost: durationFromMs(5),
      createdAt: timestampFromMs(1),
      ...(parentId === undefined ? {} : { parentId }),
    };
    if (parentId === undefined) this.say({ case: 'downloadPieceBackToSourceFinishedRequest', value: { piece } });
    else this.say({ case: 'downloadPieceFinishedRequest', value: { piece } });
  }

  finished(fromOrigin = false): void {
    if (fromOrigin) this.say({ case: 'downloadPeerBackToSourceFinishedRequest', value: {} });
    else this.say({ case: 'downloadPeerFinishedRequest', value: {} });
  }

  /** The candidates of the next answer, which must be an offer. */
  async parents(): Promise<common.Peer[]> {
    const answer = await this.answer();
    if (answer?.case !== 'normalTaskResponse') throw new Error(`expected parents, got ${answer?.case ?? 'the end'}`);
    return answer.value.candidateParents;
  }
}

export interface Trigger {
  readonly download: common.Download;
  readonly traceparent: string | null;
}

/** The upload service of a seed that only notes what it is told to do. */
export async function startFakeSeed(
  onTrigger: (trigger: Trigger, context: HandlerContext) => Promise<void> = () => Promise.resolve(),
): Promise<AsyncDisposable & { port: number; triggers: Trigger[]; health: ReturnType<typeof createHealth> }> {
  const triggers: Trigger[] = [];
  const health = createHealth();
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    logger: silent,
    health,
    drainMs: 0,
    grpc: (router) =>
      router.service(dfdaemon.DfdaemonUpload, {
        async *downloadTask({ download }, context) {
          if (download === undefined) throw new TypeError('no download');
          const trigger = { download, traceparent: context.requestHeader.get('traceparent') };
          triggers.push(trigger);
          await onTrigger(trigger, context);
          yield create(dfdaemon.DownloadTaskResponseSchema, { hostId: 'seed', taskId: TASK_ID, peerId: 'seed-peer' });
        },
      }),
  });
  return { port: listener.port, triggers, health, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

export function hostMessage(id: string, more: MessageInitShape<typeof common.HostSchema> = {}): common.Host {
  const base = create(common.HostSchema, {
    id,
    hostname: id,
    name: `pod-${id}`,
    ip: '127.0.0.1',
    port: 4000,
    downloadPort: 4000,
    schedulerClusterId: 7n,
    network: { idc: 'here', maxTxBandwidth: 1000n },
  });
  return Object.assign(base, more);
}

function downloadMessage(more: MessageInitShape<typeof common.DownloadSchema>): common.Download {
  return create(common.DownloadSchema, {
    url: 'https://registry.example/v2/library/alpine/blobs/x?signature=planted-signature',
    requestHeader: { Authorization: 'Bearer planted-token', Accept: '*/*' },
    actualContentLength: BigInt(10 * PIECE_LENGTH),
    actualPieceLength: BigInt(PIECE_LENGTH),
    actualPieceCount: 10n,
    ...more,
  });
}

/** Connect wants to be able to throw into the requests, which queues do not offer. */
async function* inOrder<T>(queue: AsyncQueue<T>): AsyncGenerator<T> {
  yield* queue;
}

/** Waits until a condition holds that the other side brings about. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('it did not happen within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
