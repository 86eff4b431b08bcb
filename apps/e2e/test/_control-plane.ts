import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AppConfig,
  type Cluster,
  ClusterNode,
  eventually,
  freePorts,
  mergeConfig,
  type OtlpReceiver,
  type RedisServer,
  startRedisServer,
  startTestDatabases,
  tempDir,
} from '@d7y/testkit';
import { expect } from '@jest/globals';
import { schedulerKnows } from './_scheduler-knows.ts';

/** Everything that must never be shown has this in it. */
export const PLANTED = 'planted';
const TOKEN = `dfp_${PLANTED}-token-of-a-person-0123456789`;
/** Of 32 bytes, as configured. */
const SEALING_KEY = Buffer.from(`${PLANTED}-key-of-seals-0123456789ab`.slice(0, 32)).toString('base64');
const ROOT_PASSWORD = `${PLANTED}-root`;
const SIGNING_KEY = `${PLANTED}-key-of-sessions`;

export interface ControlPlaneOptions {
  /** Where the queue is. */
  readonly queue: 'redis' | 'postgres';
  /** Default: 1. */
  readonly managers?: number;
  /** Ids of the scheduler clusters. Default: 1. */
  readonly clusters?: readonly number[];
  readonly traces?: Pick<OtlpReceiver, 'host'>;
}

/** A job as the REST interface tells of it. */
export interface JobAnswer {
  readonly id: number;
  readonly state: 'PENDING' | 'SUCCESS' | 'FAILURE';
  readonly phase: string;
  readonly error: string | null;
  readonly progress: Readonly<Record<string, number>> | null;
  readonly result: {
    readonly job_states: readonly {
      readonly state: string;
      readonly error: string;
      readonly results: readonly {
        readonly scheduler_cluster_id: number;
        readonly success_tasks: readonly { url: string; hostname: string; ip: string }[];
        readonly failure_tasks: readonly { url: string; hostname: string; ip: string; description: string }[];
      }[];
    }[];
  } | null;
}

/** A manager process. */
export interface ManagerNode {
  readonly node: ClusterNode;
  /** Of its REST interface. */
  readonly url: string;
  /** For schedulers. */
  readonly grpcAddress: string;
}

/** A worker process. */
export interface WorkerNode {
  readonly node: ClusterNode;
  /** Layers brought to hosts by it, in this life of it. */
  targets(outcome: 'succeeded' | 'failed'): Promise<number>;
}

/** Managers, preheat workers, their database and their queue, all on loopback. */
export interface ControlPlane extends AsyncDisposable {
  readonly managers: readonly ManagerNode[];
  readonly workers: readonly WorkerNode[];
  readonly redis: RedisServer | undefined;
  /** Everything that the REST interfaces have answered, as it came. */
  readonly answers: readonly string[];
  /** For a scheduler of this cluster. */
  schedulerConfig(clusterId?: number): AppConfig;
  /** Waits until a cluster has said that it is there: its scheduler to the manager, its daemons and seeds to the scheduler. */
  knows(cluster: Pick<Cluster, 'scheduler' | 'daemons' | 'seeds'>, clusterId?: number): Promise<void>;
  /** @param config laid over that of the worker */
  startWorker(config?: AppConfig): Promise<WorkerNode>;
  /** Asks for a preheat. @returns the id of the job */
  preheat(args: Readonly<Record<string, unknown>>, options?: { clusterId?: number; manager?: number }): Promise<number>;
  retry(id: number): Promise<void>;
  job(id: number, manager?: number): Promise<JobAnswer>;
  /** The last 50 jobs, the newest first. */
  jobs(): Promise<readonly JobAnswer[]>;
  /** Asks until a job has ended; managers that do not answer meanwhile are asked again. */
  ended(id: number, options?: { manager?: number; timeoutMs?: number }): Promise<JobAnswer>;
}

/** Starts databases and managers, and waits until they are ready; workers are started by the test. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { queue, managers: managerCount = 1, clusters = [1], traces } = options;
  await using stack = new AsyncDisposableStack();
  const parentDir = stack.use(await tempDir('d7y-control')).path;
  const server = stack.use(await startTestDatabases());
  const { host, port, user, password, database: dbname } = await server.create();
  const redis = queue === 'redis' ? stack.use(await startRedisServer({ isPersistent: true })) : undefined;
  const database = {
    postgres: { host, port, user, dbname, ...(password !== undefined && { password: password.reveal() }) },
    redis: { addrs: redis === undefined ? [] : [redis.addr] },
  };
  const shared: AppConfig = {
    database,
    secrets: { key: SEALING_KEY },
    ...(traces !== undefined && { tracing: { protocol: 'http', endpoint: traces.host } }),
  };

  const start = async (node: ClusterNode): Promise<ClusterNode> => {
    nodes.use(node);
    await node.start();
    return node;
  };
  const startManager = async (name: string): Promise<ManagerNode> => {
    const [grpc = 0, rest = 0] = await freePorts(2);
    const dir = join(parentDir, name);
    await mkdir(dir);
    const config: AppConfig = {
      server: {
        grpc: { listenIP: '127.0.0.1', advertiseIP: '127.0.0.1', port: { start: grpc } },
        rest: { addr: `127.0.0.1:${rest}` },
      },
      auth: { jwt: { key: SIGNING_KEY } },
      job: { preheat: { allowPrivateNetworks: true } },
      bootstrap: { clusters: clusters.map((id) => ({ id, name: `cluster-${id}`, isDefault: id === clusters[0] })) },
    };
    const url = `http://127.0.0.1:${rest}`;
    const node = await start(
      new ClusterNode({
        ...{ app: 'manager', name, dir, args: [], config: mergeConfig(shared, config) },
        env: { DRAGONFLY_PAT: TOKEN, DRAGONFLY_INITIAL_ROOT_PASSWORD: ROOT_PASSWORD },
        ready: { kind: 'http', url: `${url}/readyz` },
      }),
    );
    return { node, url, grpcAddress: `127.0.0.1:${grpc}` };
  };
  const workers: WorkerNode[] = [];
  const startWorker = async (over: AppConfig = {}): Promise<WorkerNode> => {
    const name = `worker-${workers.length}`;
    const dir = join(parentDir, name);
    await mkdir(dir);
    const [health = 0] = await freePorts(1);
    const url = `http://127.0.0.1:${health}`;
    const config: AppConfig = {
      worker: { lock: '2s', stalledInterval: '500ms', grace: '5s' },
      preheat: { allowPrivateNetworks: true },
      metrics: { host: '127.0.0.1', port: health },
    };
    const node = await start(
      new ClusterNode({
        ...{ app: 'preheat-worker', name, dir, args: [], env: {} },
        config: mergeConfig(mergeConfig(shared, config), over),
        ready: { kind: 'http', url: `${url}/readyz` },
      }),
    );
    const worker: WorkerNode = {
      node,
      async targets(outcome) {
        const metrics = await (await fetch(`${url}/metrics`)).text();
        return Number(new RegExp(`worker_target_total\\{outcome="${outcome}"\\} (\\d+)`).exec(metrics)?.[1] ?? 0);
      },
    };
    workers.push(worker);
    return worker;
  };
  // Ended before the databases are.
  const nodes = stack.use(new AsyncDisposableStack());
  const managers: ManagerNode[] = [];
  for (let number = 0; number < managerCount; number++) managers.push(await startManager(`manager-${number}`));

  const answers: string[] = [];
  const ask = async <T>(
    manager: number,
    method: string,
    path: string,
    { body, authorization = `Bearer ${TOKEN}` }: { readonly body?: unknown; readonly authorization?: string } = {},
  ): Promise<T> => {
    const answer = await fetch(`${managers[manager]?.url}${path}`, {
      ...{ method, headers: { authorization, 'content-type': 'application/json' } },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    answers.push(text);
    if (!answer.ok) throw new Error(`${method} ${path} answers ${answer.status}: ${text}`);
    return JSON.parse(text) as T;
  };
  let session: string | undefined;
  const signIn = async (): Promise<string> => {
    const body = { name: 'root', password: ROOT_PASSWORD };
    session ??= (await ask<{ token: string }>(0, 'POST', '/api/v1/users/signin', { body })).token;
    return session;
  };
  const job = (id: number, manager = 0) => ask<JobAnswer>(manager, 'GET', `/oapi/v1/jobs/${id}`);
  const running = stack.move();
  return {
    ...{ managers, workers, redis, answers, startWorker, job },
    jobs: () => ask<readonly JobAnswer[]>(0, 'GET', '/oapi/v1/jobs?page=1&per_page=50'),
    schedulerConfig: (clusterId = clusters[0] ?? 1) => ({
      manager: {
        addr: managers[0]?.grpcAddress,
        schedulerClusterID: clusterId,
        keepAlive: { interval: '1s' },
      },
    }),
    async knows({ scheduler, daemons, seeds }, clusterId = clusters[0] ?? 1) {
      await eventually(
        async () => {
          const authorization = `Bearer ${await signIn()}`;
          const listed = await ask<{ scheduler_cluster_id: number; state: string }[]>(0, 'GET', '/api/v1/schedulers', {
            authorization,
          });
          expect(listed).toContainEqual(
            expect.objectContaining({ scheduler_cluster_id: clusterId, state: 'active', port: scheduler?.port }),
          );
        },
        { timeoutMs: 60_000, intervalMs: 200 },
      );
      await schedulerKnows(scheduler?.address ?? '', daemons.length + seeds.length);
    },
    async preheat(args, { clusterId, manager = 0 } = {}) {
      const { id } = await ask<JobAnswer>(manager, 'POST', '/oapi/v1/jobs', {
        body: { type: 'preheat', args, ...(clusterId !== undefined && { scheduler_cluster_ids: [clusterId] }) },
      });
      return id;
    },
    retry: async (id) => {
      await ask(0, 'POST', `/oapi/v1/jobs/${id}/retry`);
    },
    ended: (id, { manager = 0, timeoutMs = 60_000 } = {}) =>
      eventually(
        async () => {
          const found = await job(id, manager);
          if (found.state === 'PENDING')
            throw new Error(`job ${id} is still ${found.phase}: ${JSON.stringify(found.progress)}`);
          return found;
        },
        { timeoutMs, intervalMs: 100 },
      ),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
