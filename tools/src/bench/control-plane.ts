import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startEmbeddedDatabase } from '@d7y/embedded-database';
import {
  ClusterRepository,
  type Database,
  makeFirstRows,
  migrateDatabase,
  openDatabase,
  PasswordHasher,
} from '@d7y/manager-db';
import { type AppConfig, ClusterNode, eventually, freePorts, type LabHost, onHost, run, tempDir } from '@d7y/testkit';

const TOKEN = 'dfp_token-of-a-benchmark-and-of-nobody-else';
const POLL_MS = 50;
/** Jobs that a cluster takes in a second: it is not to be what is measured. */
const JOBS_PER_SECOND = 1_000_000;

/** A job as the REST interface tells of it, as far as benchmarks look at it. */
export interface JobAnswer {
  readonly id: number;
  readonly state: 'PENDING' | 'SUCCESS' | 'FAILURE';
  readonly error: string | null;
  readonly progress: Readonly<Record<string, number>> | null;
}

/** A manager and a preheat worker, with the queue in their PostgreSQL, which writes through to the disk as everywhere. */
export interface ControlPlane extends AsyncDisposable {
  readonly database: Database;
  readonly manager: ClusterNode;
  readonly worker: ClusterNode;
  /** Base URL of the REST interface, from where the manager runs. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Has a scheduler join the cluster whose jobs these are. */
  readonly schedulerConfig: AppConfig;
  /** Asks the REST interface. @throws when it does not answer with success */
  ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<JobAnswer>;
  /** Waits until a job has ended. @throws when it failed */
  succeeded(id: number): Promise<JobAnswer>;
  /** Waits until a preheat reaches so many daemons, with a small file. */
  reaches(daemons: number, fileUrl: string): Promise<void>;
}

/** @param host where manager and worker run, in a network lab; their database is reached over a file wherever they are */
export async function startControlPlane({ host }: { readonly host?: LabHost } = {}): Promise<ControlPlane> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir('d7y-control')).path;
  const server = stack.use(await startEmbeddedDatabase({ folder: join(dir, 'database') }));
  const address = await server.createDatabase('manager');
  await migrateDatabase(address);
  const database = stack.use(await openDatabase({ address }));
  const clusterId = await makeCluster(database);

  const ip = host?.ip ?? '127.0.0.1';
  const [grpc = 0, rest = 0, health = 0] = await freePorts(3);
  const { port, user, password } = address;
  const shared = {
    database: {
      postgres: { host: address.host, port, user, password: password.reveal(), dbname: address.database },
    },
    secrets: { key: randomBytes(32).toString('base64') },
  };
  const start = async (node: ConstructorParameters<typeof ClusterNode>[0]): Promise<ClusterNode> => {
    await mkdir(node.dir);
    const started = stack.use(new ClusterNode(node));
    await started.start();
    return started;
  };
  const url = `http://${ip}:${rest}`;
  const manager = await start({
    ...{ app: 'manager', name: 'manager', dir: join(dir, 'manager'), args: [], env: { DRAGONFLY_PAT: TOKEN } },
    config: {
      ...shared,
      server: {
        grpc: { listenIP: ip, advertiseIP: ip, port: { start: grpc }, requestRateLimit: 1e9 },
        rest: { addr: `${ip}:${rest}` },
      },
      auth: { jwt: { key: 'of a benchmark, and nobody else' } },
      job: { preheat: { allowPrivateNetworks: true } },
    },
    ready: { kind: 'http', url: `${url}/readyz` },
    ...(host !== undefined && { host }),
  });
  const worker = await start({
    ...{ app: 'preheat-worker', name: 'worker', dir: join(dir, 'worker'), args: [], env: {} },
    config: { ...shared, preheat: { allowPrivateNetworks: true }, metrics: { host: ip, port: health } },
    ready: { kind: 'http', url: `http://${ip}:${health}/readyz` },
    ...(host !== undefined && { host }),
  });

  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
  const ask: ControlPlane['ask'] = async (method, path, body) => {
    const options = ['--silent', '--show-error', '--fail-with-body', '--max-time', '30', '--noproxy', '*'];
    const [command = '', ...args] = onHost(host, 'curl', [
      ...[...options, '--request', method],
      ...Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
      ...(body === undefined ? [] : ['--data', JSON.stringify(body)]),
      `${url}${path}`,
    ]);
    return JSON.parse((await run(command, args)).stdout) as JobAnswer;
  };
  const succeeded = async (id: number): Promise<JobAnswer> => {
    for (;;) {
      const job = await ask('GET', `/oapi/v1/jobs/${id}`);
      if (job.state === 'FAILURE') throw new Error(`job ${id} failed: ${job.error}`);
      if (job.state === 'SUCCESS') return job;
      await delay(POLL_MS);
    }
  };
  const running = stack.move();
  return {
    ...{ database, manager, worker, url, headers, ask, succeeded },
    schedulerConfig: {
      manager: { addr: `${ip}:${grpc}`, schedulerClusterID: clusterId, keepAlive: { interval: '1s' } },
    },
    async reaches(daemons, fileUrl) {
      const args = { type: 'file', url: fileUrl, scope: 'all_peers' };
      await eventually(
        async () => {
          const { id } = await ask('POST', '/oapi/v1/jobs', { type: 'preheat', args });
          const { progress } = await succeeded(id);
          if (progress?.['peers_total'] !== daemons)
            throw new Error(`a preheat reaches ${progress?.['peers_total']} daemons instead of ${daemons}`);
        },
        { timeoutMs: 60_000, intervalMs: 500 },
      );
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Makes the cluster of the first start, and lets it take any number of jobs. */
async function makeCluster(database: Database): Promise<number> {
  const now = new Date();
  await makeFirstRows(database, { objects: [], passwords: new PasswordHasher(), now });
  return await database.transaction(async (tx) => {
    const clusters = new ClusterRepository(tx);
    const [cluster] = (await clusters.page({}, { offset: 0, limit: 1 })).rows;
    if (cluster === undefined) throw new Error('the first start made no cluster');
    const { id, config } = cluster.schedulers;
    await clusters.update(id, { schedulerClusterConfig: { ...config, job_rate_limit: JOBS_PER_SECOND } }, now);
    return id;
  });
}
