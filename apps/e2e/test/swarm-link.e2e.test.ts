import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import { type OwnSchedulers, SwarmLinks } from '@d7y/dfdaemon-service';
import { describeSwarmLink, type SwarmLinkUnderTest } from '@d7y/peer-engine/conformance';
import { createParentClientPool, createSchedulerClient, type SchedulerClient } from '@d7y/peer-protocol';
import { readSchedulerConfig, type RunningScheduler, startScheduler } from '@d7y/scheduler-service';
import { createLogger } from '@d7y/service-kit';
import { eventually, freePort } from '@d7y/testkit';

const IP = '127.0.0.1';
const TASKS = ['a'.repeat(64), 'b'.repeat(64)];
const GRID = { contentLength: 20_000, pieceLength: 4096 };
const logger = createLogger({ name: 'test', level: 'silent' });
const { signal } = new AbortController();

const start = async (port: number): Promise<RunningScheduler> =>
  startScheduler(
    readSchedulerConfig({
      text: `server: { port: ${port}, listenIP: ${IP}, advertiseIP: ${IP} }\nscheduler: { settleTime: 0s, state: { enable: false } }`,
      env: {},
    }),
    { signal, overrides: { logger, processMetrics: false } },
  );

/** A host with its one scheduler, as a daemon makes it. */
class TestHost implements OwnSchedulers, AsyncDisposable {
  readonly hostId: string;
  readonly client: SchedulerClient;
  readonly links: SwarmLinks;
  readonly #parents = createParentClientPool({ hostId: 'test', version: '1' });

  constructor(hostId: string, port: number) {
    this.hostId = hostId;
    this.client = createSchedulerClient({ address: { host: IP, port }, hostId, version: '1', logger });
    this.links = new SwarmLinks({
      ...{ schedulers: this, parents: this.#parents, hostId, logger },
      timing: { reconnectDelayMs: () => 20 },
    });
  }

  /** Linked, and known to the scheduler as one that has all of both tasks. */
  async join(): Promise<void> {
    await this.announce();
    for (const taskId of TASKS) {
      const announcement = this.client.announcePeer(
        {
          ...{ hostId: this.hostId, taskId, peerId: `${this.hostId}-${taskId}`, url: 'https://r.example/blob' },
          ...{ tag: undefined, application: undefined, digest: undefined, filteredQueryParams: [] },
          ...{ requestHeaders: {}, requestedPieceLength: undefined, priority: 0, range: undefined },
          ...{ needBackToSource: false, metadataOnly: true, concurrentPieceCount: 4, ...GRID },
          ...{ contentForCalculatingTaskId: undefined, enableTaskIdBasedBlobDigest: true },
        },
        { signal },
      );
      for await (const { kind } of announcement.instructions) {
        if (kind !== 'metadataOnly') throw new Error(`expected nothing but an answer, got ${kind}`);
        announcement.started();
        await announcement.finished(GRID.contentLength, 5);
      }
    }
    await eventually(() => this.#expectLinked(true), { intervalMs: 2 });
  }

  async left(): Promise<void> {
    await eventually(() => this.#expectLinked(false), { intervalMs: 2 });
  }

  announce(): Promise<void> {
    const host = create(common.HostSchema, { id: this.hostId, hostname: 'h', ip: IP, port: 4000, downloadPort: 4000 });
    return this.client.announceHost(host, 60_000, { signal });
  }

  own(): readonly SchedulerClient[] {
    return [this.client];
  }

  order(): readonly string[] {
    return [this.client.address];
  }

  retire(): void {
    // This scheduler is only ever cut off.
  }

  doubt(): void {
    this.announce().catch(() => undefined); // it is down; the next try of the link comes back to this
  }

  onChange(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.links[Symbol.asyncDispose]();
    await this.client[Symbol.asyncDispose]();
    await this.#parents[Symbol.asyncDispose]();
  }

  #expectLinked(expected: boolean): void {
    if (this.links.isLinked(TASKS[0] ?? '') !== expected)
      throw new Error(`the link is not ${expected ? 'up' : 'down'}`);
  }
}

describeSwarmLink('the links of a daemon through a real scheduler', async (): Promise<SwarmLinkUnderTest> => {
  const port = await freePort();
  let scheduler = await start(port);
  const a = new TestHost(`${IP}-a`, port);
  const b = new TestHost(`${IP}-b`, port);
  const join = () => Promise.all([a.join(), b.join()]);
  await join();
  return {
    a: a.links,
    b: b.links,
    hostIdOfA: a.hostId,
    async cut() {
      await scheduler[Symbol.asyncDispose]();
      await Promise.all([a.left(), b.left()]);
    },
    async restore() {
      scheduler = await start(port);
      await join();
    },
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
      await scheduler[Symbol.asyncDispose]();
    },
  };
});
