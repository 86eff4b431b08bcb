import { Code, ConnectError, createRouterTransport, type Transport } from '@connectrpc/connect';
import { type common, dfdaemon, scheduler, swarmListing } from '@d7y/api';
import {
  AuditRepository,
  type JobEnd,
  JobIntake,
  JobRepository,
  JobWork,
  openDatabase,
  PeerRepository,
  schema,
} from '@d7y/manager-db';
import { taskIdFor, ImageReader } from '@d7y/preheat';
import type { Advance, JobMessage, JobType, LayerMessage, Run } from '@d7y/preheat-queue';
import { createLogger, noTelemetry, UpstreamGuard } from '@d7y/service-kit';
import type { TestDatabases } from '@d7y/testkit';
import { ClusterHosts } from '../cluster/cluster-hosts.ts';
import { createSwarmLists } from '../cluster/swarm-lists.ts';
import type { JobContext } from './context.ts';
import { advanceOther } from './other-jobs.ts';
import { advancePreheat } from './preheat-job.ts';
import { doLayer } from './preheat-layer.ts';
import { toTaskIdentity } from './preheat-request.ts';

/** The task that a file is for daemons. */
export const taskOf = (url: string): string => taskIdFor(url, toTaskIdentity({}), true);

/** What the scheduler says that its daemons share. */
const KNOWN_TASKS = [
  { id: 'a1', url: 'http://origin/a?X-Amz-Signature=secret', state: 'Succeeded', peers: 2n, updatedAtMs: 1_000n },
  { id: 'b1', url: 'http://origin/b', state: 'Running', peers: 1n, contentLength: 7n, updatedAtMs: 2_000n },
];

/** A daemon in memory: downloads whatever it is asked for, and holds it then. */
export class MemoryDaemon {
  readonly name: string;
  /** Task id → whole. */
  readonly held = new Map<string, boolean>();
  readonly downloads: common.Download[] = [];
  readonly deleted: string[] = [];
  /** Runs within a download or a removal. */
  trouble: (signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  /** Says that it has downloaded, and holds nothing. */
  forgets = false;
  readonly transport: Transport;

  constructor(name: string) {
    this.name = name;
    this.transport = createRouterTransport(({ service }) => {
      service(dfdaemon.DfdaemonUpload, {
        downloadTask: (request, { signal }) => this.#download(request, signal),
        statLocalTask: ({ taskId }) => {
          const isWhole = this.held.get(taskId);
          if (isWhole === undefined) throw new ConnectError('not here', Code.NotFound);
          return { taskId, ...(isWhole && { finishedAt: { seconds: 1n } }) };
        },
        deleteTask: async ({ taskId }, { signal }) => {
          await this.trouble(signal);
          this.deleted.push(taskId);
          this.held.delete(taskId);
          return {};
        },
      });
    });
  }

  async *#download({ download }: dfdaemon.DownloadTaskRequest, signal: AbortSignal) {
    if (download === undefined) throw new TypeError('no download');
    this.downloads.push(download);
    const taskId = taskOf(download.url);
    const value = { contentLength: 1n };
    yield {
      ...{ hostId: this.name, taskId, peerId: 'peer' },
      response: { case: 'downloadTaskStartedResponse' as const, value },
    };
    await this.trouble(signal);
    if (!this.forgets) this.held.set(taskId, true);
  }
}

export interface JobRig extends AsyncDisposable {
  readonly work: JobWork;
  readonly intake: JobIntake;
  readonly peers: PeerRepository;
  readonly daemons: readonly MemoryDaemon[];
  readonly clusterId: number;
  /** Takes a job in. @returns what its queue says */
  accept(type: JobType, args: Readonly<Record<string, unknown>>, timeoutMs?: number): Promise<JobMessage>;
  /** One step of a job. */
  advance(message: JobMessage, run?: Partial<Run>): Promise<Advance>;
  layer(message: LayerMessage, run?: Partial<Run>): Promise<readonly LayerMessage[]>;
  /** Every step of a job and its layers, until it is done; layers that fail for now are tried again at once. */
  finish(message: JobMessage): Promise<Extract<Advance, { kind: 'done' }>['report']>;
  /** What the worker wrote down of it. */
  resultOf(message: JobMessage): Promise<Record<'success_tasks' | 'failure_tasks' | 'peers' | 'tasks', object[]>>;
  end(message: JobMessage): Promise<void>;
}

const NEVER = new AbortController().signal;
const MINUTE_MS = 60_000;

const IN_TIME = new Date('2100-01-01T00:00:00Z');

/** The steps of a worker on real tables, with a scheduler and daemons in memory. @param names of the daemons */
export async function startJobRig(
  databases: TestDatabases,
  names: readonly string[],
  { activeUntil = IN_TIME }: { readonly activeUntil?: Date } = {},
): Promise<JobRig> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openDatabase({ address: await databases.create() }));
  const { db } = database;
  const config = { job_rate_limit: 1_000 };
  const [row] = await db
    .insert(schema.schedulerClusters)
    .values({ name: 'one', config, clientConfig: {}, seedClientConfig: {} })
    .returning();
  const clusterId = row?.id ?? 0;
  await db.insert(schema.schedulers).values({
    ...{ hostName: 'scheduler', ip: '127.0.0.1', port: 1, schedulerClusterId: clusterId },
    ...{ features: ['schedule'], activeUntil },
  });
  const daemons = names.map((name) => new MemoryDaemon(name));
  const swarm = createRouterTransport(({ service }) => {
    service(scheduler.Scheduler, {
      listHosts: () => ({
        hosts: daemons.map(({ name }) => ({ id: name, hostname: name, ip: '127.0.0.1', port: 1, type: 0 })),
      }),
    });
    service(swarmListing.SwarmListingService, {
      listTasks: ({ state, taskIdPrefix }) => ({
        tasks: KNOWN_TASKS.filter((task) => (state === '' || task.state === state) && task.id.startsWith(taskIdPrefix)),
      }),
    });
  });
  const logger = createLogger({ name: 'test', level: 'silent' });
  const [work, intake] = [new JobWork(database), new JobIntake(database)];
  const notAsked = () => Promise.reject(new TypeError('the origin is not asked'));
  const reader = new ImageReader({
    ...{ guard: new UpstreamGuard(), remedy: 'see the remedy' },
    createOrigin: () => ({
      ...{ probe: notAsked, head: notAsked, fetch: notAsked, knownAuthorization: () => undefined },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
  });
  const context: JobContext = {
    ...{ work, reader, hosts: new ClusterHosts({ work, connect: () => swarm }) },
    listing: createSwarmLists({ work, connect: () => swarm, logger }),
    ...{ peers: new PeerRepository(db), audits: new AuditRepository(db), jobs: new JobRepository(db) },
    connect: ({ id }) => {
      const daemon = daemons.find(({ name }) => name === id);
      if (daemon === undefined) throw new TypeError(`no daemon ${id}`);
      return daemon.transport;
    },
    unsealer: { open: () => Promise.reject(new TypeError('no credentials')) as never },
    trust: { certificates: [], insecureSkipVerify: false },
    ...{ byDigest: true, defaultPlatforms: [], maxLayers: 100, remoteIp: '127.0.0.1' },
    retentionMs: { job: MINUTE_MS, audit: MINUTE_MS },
    ...{ telemetry: noTelemetry(), logger },
    onTarget: () => undefined,
  };
  const steps = { preheat: advancePreheat(context), other: advanceOther(context), layer: doLayer(context) };
  const runOf = (run: Partial<Run> = {}): Run => ({ signal: NEVER, tries: 0, ...run });
  const advance: JobRig['advance'] = (message, run) =>
    steps[message.type === 'preheat' ? 'preheat' : 'other'](message, runOf(run));
  const layer: JobRig['layer'] = (message, run) => steps.layer(message, runOf(run));
  const bring = async (message: LayerMessage): Promise<readonly LayerMessage[]> => {
    for (let tries = 0; ; tries++) {
      try {
        return await layer(message, { tries });
      } catch (error) {
        if (tries > 10) throw error;
      }
    }
  };
  let jobs = 0;
  const running = stack.move();
  return {
    ...{ work, intake, daemons, clusterId, advance, layer, peers: new PeerRepository(db) },
    async accept(type, args, timeoutMs = MINUTE_MS) {
      const now = new Date();
      const taken = await intake.accept({
        ...{ groupId: `group_${++jobs}`, type, bio: '', userId: undefined, args, clusterIds: [clusterId] },
        ...{ seedPeerClusterIds: [], dedupKey: String(jobs).padStart(64, '0'), idempotencyKey: undefined },
        ...{ traceparent: undefined, now, deadlineAt: new Date(now.getTime() + timeoutMs) },
        ...{ seal: undefined, secretExpiresAt: now },
      });
      if (taken.kind !== 'accepted') throw new TypeError(taken.kind);
      return { jobId: taken.id, attempt: 1, type };
    },
    async finish(message) {
      for (;;) {
        const step = await advance(message);
        if (step.kind === 'done') return step.report;
        const open = [...step.layers];
        for (let next = open.shift(); next !== undefined; next = open.shift()) open.push(...(await bring(next)));
      }
    },
    async resultOf({ jobId }) {
      const [job] = (await db.select().from(schema.jobs)).filter(({ id }) => id === jobId);
      const { job_states: states } = job?.result as { job_states: { results: [never] }[] };
      return states[0]?.results[0] as never;
    },
    async end({ jobId, attempt }) {
      const end: JobEnd = {
        ...{ state: 'FAILURE', phase: 'FAILURE', error: 'broken', now: new Date() },
        result: () => ({}),
      };
      await intake.end(jobId, end, attempt);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
