import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { manager } from '@d7y/api';
import type { DatabaseAddress } from '@d7y/manager-db';
import {
  ClusterRepository,
  makeFirstRows,
  migrateDatabase,
  openDatabase,
  PasswordHasher,
  SchedulerRepository,
} from '@d7y/manager-db';
import { readProcessUsage, spawnApp, startTestDatabases, tempDir } from '@d7y/testkit';
import { setTimeout as delay } from 'node:timers/promises';
import { benchManagerJobs } from './manager-jobs.ts';
import type { BenchOptions, Measurement } from './measurement.ts';
import { LeanConnection } from './scheduler/lean-connection.ts';
import { type Times, timesOf } from './times.ts';

const CLUSTERS = 100;
const SCHEDULERS = 10;
const DAEMONS = 100_000;
/** Connections that the daemons share: those of a hundred thousand would not fit on one machine. */
const CONNECTIONS = 64;
const AT_ONCE = 64;
/** Questions that warm the program up: a manager runs for months. */
const WARM_UP = 5_000;
/** Long enough for collections of garbage, which come every ten seconds or so and are what the slowest wait for. */
const LATENCY_SECONDS = 30;
const MIB = 2 ** 20;
const PATH = '/manager.v2.Manager/ListSchedulers';
const HOUR_MS = 3_600_000;

/** How a manager answers daemons, and how it takes jobs. */
export async function benchManager(options: BenchOptions): Promise<readonly Measurement[]> {
  return [...(await benchManagerLists(options)), ...(await benchManagerJobs(options))];
}

/**
 * A real manager on a real PostgreSQL, with 100 clusters of 10 schedulers, asked by 100,000 daemons, each with a name, address, data centre
 * and place of its own: each asks once, as after a change that made all answers anew, and then again. An answer names all 1,000 schedulers.
 */
export async function benchManagerLists({
  hosts: daemons = DAEMONS,
  progress,
}: BenchOptions): Promise<readonly Measurement[]> {
  await using scratch = await tempDir('d7y-bench');
  await using databases = await startTestDatabases({ prepare: migrateDatabase });
  const address = await databases.create();
  await fill(address);
  await using program = await spawnApp('manager', {
    ...{ dir: scratch.path, config: configOf(address), readyTimeoutMs: 60_000 },
    ready: { kind: 'line', pattern: /manager is serving/ },
    env: { NODE_OPTIONS: process.env['MANAGER_NODE_OPTIONS'] ?? '' },
  });
  const port = Number(/"address":"127\.0\.0\.1:(\d+)"/.exec(program.lines.join('\n'))?.[1]);
  using load = await ManagerLoad.open(port);

  await load.askAll(0, WARM_UP);
  const pid = program.pid;
  const timed = async (work: () => Promise<Times>) => {
    const [before, ownBefore] = [readProcessUsage(pid).cpuSeconds, process.cpuUsage()];
    const times = await work();
    const { user, system } = process.cpuUsage(ownBefore);
    return { times, cpuSeconds: readProcessUsage(pid).cpuSeconds - before, ownCpuSeconds: (user + system) / 1e6 };
  };
  const first = await timed(() => load.askAll(WARM_UP, daemons));
  const perCpuSecond = daemons / first.cpuSeconds;
  progress(`${perCpuSecond.toFixed(0)} daemons per CPU second, each for the first time`);
  const again = await timed(() => load.askAll(WARM_UP, daemons));
  const againPerCpuSecond = daemons / again.cpuSeconds;
  progress(`${againPerCpuSecond.toFixed(0)} per CPU second, again`);
  const perSecond = Math.floor(perCpuSecond / 2);
  const paced = await timed(() => load.askPaced(perSecond, LATENCY_SECONDS));
  const { rssBytes, peakRssBytes } = readProcessUsage(pid);
  const facts = { clusters: CLUSTERS, schedulers: CLUSTERS * SCHEDULERS, daemons, answerBytes: load.answerBytes };
  return [
    {
      name: 'manager',
      value: perCpuSecond,
      unit: 'ListSchedulers/CPU s',
      target: { must: 2_000, aim: 5_000 },
      details: {
        ...facts,
        perSecond: (daemons * 1000) / first.times.tookMs,
        againPerCpuSecond,
        connections: CONNECTIONS,
      },
      text: [`an answer is ${(load.answerBytes / 1024).toFixed(0)} KiB; again: ${againPerCpuSecond.toFixed(0)}`],
    },
    {
      name: 'managerLatency',
      value: paced.times.p99Ms,
      unit: 'ms',
      target: { must: 20, aim: 10 },
      details: {
        ...{ ...facts, perSecond, seconds: LATENCY_SECONDS, p50Ms: paced.times.p50Ms, maxMs: paced.times.maxMs },
        cpuSeconds: { manager: paced.cpuSeconds, client: paced.ownCpuSeconds },
      },
      text: [
        `at ${perSecond}/s: median ${paced.times.p50Ms.toFixed(2)} ms, longest ${paced.times.maxMs.toFixed(0)} ms`,
        `processors: manager ${((100 * paced.cpuSeconds) / LATENCY_SECONDS).toFixed(0)} %, asking ${((100 * paced.ownCpuSeconds) / LATENCY_SECONDS).toFixed(0)} %`,
      ],
    },
    {
      name: 'managerMemory',
      value: rssBytes / MIB,
      unit: 'MiB',
      target: { must: 512, aim: 256 },
      details: { ...facts, peakRssBytes },
    },
  ];
}

/** Asks in the names of daemons. */
class ManagerLoad implements Disposable {
  readonly #connections: readonly LeanConnection[];
  /** Each names all schedulers, in an order of its own: all are of the same length. */
  readonly answerBytes: number;

  private constructor(connections: readonly LeanConnection[], answerBytes: number) {
    this.#connections = connections;
    this.answerBytes = answerBytes;
  }

  /** @throws when the answer to the first one does not name all schedulers */
  static async open(port: number): Promise<ManagerLoad> {
    const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => LeanConnection.open(port)));
    const answer = await connections[0]?.ask(PATH, requestOf(0));
    const { schedulers } = fromBinary(manager.ListSchedulersResponseSchema, answer ?? Buffer.alloc(0));
    if (schedulers.length !== CLUSTERS * SCHEDULERS) throw new Error(`an answer names ${schedulers.length} schedulers`);
    return new ManagerLoad(connections, answer?.length ?? 0);
  }

  /** Looks at no more of the answer than its length. @throws when it is not answered in full */
  #ask(daemon: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const refuse = (what: string) => reject(new Error(`daemon ${daemon}: ${what}`));
    this.#connectionOf(daemon).call(
      ...[PATH, requestOf(daemon)],
      {
        onMessage: ({ length }) => (length === this.answerBytes ? resolve() : refuse(`an answer of ${length} bytes`)),
        onEnd: () => refuse('no answer'),
      },
      true,
    );
    return promise;
  }

  #connectionOf(daemon: number): LeanConnection {
    const connection = this.#connections[daemon % this.#connections.length];
    if (connection === undefined) throw new Error('no connection');
    return connection;
  }

  /** So many at once, as fast as they are answered. */
  async askAll(from: number, count: number): Promise<Times> {
    const tookMs: number[] = [];
    const startedMs = performance.now();
    let next = from;
    const worker = async () => {
      while (next < from + count) {
        const askedMs = performance.now();
        await this.#ask(next++);
        tookMs.push(performance.now() - askedMs);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return timesOf(tookMs, performance.now() - startedMs);
  }

  /** At moments of their own, whether the ones before have been answered or not. */
  async askPaced(perSecond: number, seconds: number): Promise<Times> {
    const tookMs: number[] = [];
    const startedMs = performance.now();
    const pending: Promise<void>[] = [];
    for (let sent = 0; sent < perSecond * seconds;) {
      const due = Math.min(perSecond * seconds, Math.floor(((performance.now() - startedMs) * perSecond) / 1000));
      for (; sent < due; sent++) {
        const dueMs = startedMs + (sent * 1000) / perSecond;
        pending.push(this.#ask(sent).then(() => void tookMs.push(performance.now() - dueMs)));
      }
      await delay(1);
    }
    await Promise.all(pending);
    return timesOf(tookMs, performance.now() - startedMs);
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection.close();
  }
}

/** Daemons are spread over all networks, names, data centres and places that clusters are for. */
function requestOf(daemon: number): Uint8Array {
  const zone = daemon % CLUSTERS;
  return toBinary(
    manager.ListSchedulersRequestSchema,
    create(manager.ListSchedulersRequestSchema, {
      sourceType: manager.SourceType.PEER_SOURCE,
      hostname: `node-${daemon}.zone-${(daemon * 7) % CLUSTERS}.example`,
      ip: `10.${zone}.${(daemon >> 8) & 255}.${daemon & 255}`,
      idc: `dc-${daemon % 20}`,
      location: `region-${daemon % 10}|zone-${zone}`,
      version: '1.5.0',
      commit: 'abcdef0',
    }),
  );
}

async function fill(address: DatabaseAddress): Promise<void> {
  await using database = await openDatabase({ address });
  const now = new Date();
  await makeFirstRows(database, { objects: [], passwords: new PasswordHasher(), now });
  for (let zone = 0; zone < CLUSTERS; zone++) {
    await database.transaction(async (tx) => {
      const clusters = new ClusterRepository(tx);
      const { schedulers: cluster } = await clusters.create(
        {
          name: `zone-${zone}`,
          bio: '',
          isDefault: zone === 0,
          scopes: {
            ...{ cidrs: [`10.${zone}.0.0/16`], hostnames: [`\\.zone-${zone}\\.`] },
            ...{ idc: `dc-${zone % 20}`, location: `region-${zone % 10}|zone-${zone}` },
          },
          schedulerClusterConfig: { candidate_parent_limit: 3, filter_parent_limit: 15, job_rate_limit: 10 },
          seedPeerClusterConfig: { load_limit: 2000 },
          peerClusterConfig: { load_limit: 200 },
        },
        now,
      );
      const schedulers = new SchedulerRepository(tx);
      for (let index = 0; index < SCHEDULERS; index++)
        await schedulers.register(
          {
            ...{ hostName: `scheduler-${index}.zone-${zone}`, ip: `127.16.${zone}.${index + 1}`, port: 8002 },
            ...{ idc: `dc-${zone % 20}`, location: `region-${zone % 10}|zone-${zone}`, config: {} },
            ...{ features: ['schedule', 'preheat'], schedulerClusterId: cluster.id, keepAliveIntervalMs: HOUR_MS },
          },
          now,
        );
    });
  }
}

const configOf = ({ host, port, user, password, database }: DatabaseAddress) => ({
  server: { grpc: { listenIP: '127.0.0.1', port: { start: 0 }, requestRateLimit: 1e9 }, rest: { addr: '127.0.0.1:0' } },
  auth: { jwt: { key: 'of a benchmark, and nobody else' } },
  database: { postgres: { host, port, user, password: password?.reveal() ?? '', dbname: database } },
});
