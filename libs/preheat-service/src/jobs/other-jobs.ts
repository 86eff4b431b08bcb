import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { dfdaemon } from '@d7y/api';
import { inBatches, KEPT_PREHEATS, type WantedJob } from '@d7y/manager-db';
import { joinTasks } from '@d7y/peer-protocol';
import { DfError, taskIdOf } from '@d7y/piece';
import { askWhoHolds, each, PreheatRequestError, syncPeers, taskIdFor, taskIdsOf } from '@d7y/preheat';
import {
  type Advance,
  type ClusterOutcome,
  type JobMessage,
  jobReportOf,
  type Run,
  toJobResult,
} from '@d7y/preheat-queue';
import { safeText, safeUrl } from '@d7y/service-kit';
import { z } from 'zod';
import { type ClusterHost, ClusterUnreachableError, platformsOf } from '../cluster/cluster-hosts.ts';
import { argsOf, type JobContext, mostTries, reasonOf, untilDeadline } from './context.ts';
import { toAccess, toTaskIdentity } from './preheat-request.ts';

const MAX_TRIES = 3;
const DEFAULT_PEERS = 500;
const DEFAULT_LAYERS = 8;
const STAT_TIMEOUT_MS = 10_000;
/** Hosts written down at a time. */
const PEERS_AT_ONCE = 500;
/** Hosts told of one by one in a result. */
const MAX_RESULT_HOSTS = 10_000;
const MAX_RESULT_TASKS = 1_000;

const text = z.string().optional();
const number = z.number().optional();
const taskArgs = z.looseObject({
  ...{ task_id: text, url: text, content_for_calculating_task_id: text, tag: text, application: text },
  ...{ piece_length: number, filtered_query_params: text, concurrent_peer_count: number },
});
const listArgs = z.looseObject({ task_id: text, state: text, url: text }).nullish();
const imageArgs = z.looseObject({
  ...{
    url: z.string(),
    reference: text,
    tag: text,
    application: text,
    piece_length: number,
    filtered_query_params: text,
  },
  ...{ username: text, password: text, platform: text, headers: z.record(z.string(), z.string()).optional() },
  ...{ concurrent_layer_count: number, concurrent_peer_count: number },
});

/** Does what the job asks for in one cluster. */
type InCluster = (clusterId: number, signal: AbortSignal) => Promise<Readonly<Record<string, unknown>>>;

/** Jobs that are done in one step: what hosts hold, its removal, the table of hosts, what is old. */
export const advanceOther =
  (context: JobContext) =>
  async (message: JobMessage, run: Run): Promise<Advance> => {
    const { work } = context;
    const job = await work.wanted(message.jobId, message.attempt);
    if (job === undefined) return { kind: 'done', report: jobReportOf('FAILURE', 'nobody wants it any more') };
    await work.note(job.id, job.attempt, { phase: 'STARTED' }, new Date());
    const deadline = untilDeadline(job, run.signal);
    const clusters: ClusterOutcome[] = [];
    let error: string | undefined;
    try {
      const extra = message.type === 'gc' ? await purge(context, job, deadline.signal) : {};
      const inCluster = message.type === 'gc' ? undefined : await workOf(context, message, job, deadline.signal);
      for (const schedulerClusterId of inCluster === undefined ? [] : job.clusterIds) {
        try {
          const details = (await inCluster?.(schedulerClusterId, deadline.signal)) ?? {};
          clusters.push({ schedulerClusterId, state: 'SUCCESS', details });
        } catch (failure) {
          run.signal.throwIfAborted();
          if (isTemporary(failure) && !deadline.isOver() && run.tries + 1 < mostTries(failure, MAX_TRIES))
            throw failure;
          clusters.push({ schedulerClusterId, state: 'FAILURE', error: safeText(reasonOf(failure)), details: {} });
        }
      }
      error = clusters.find((cluster) => cluster.error !== undefined)?.error;
      return await done(context, job, clusters, error, extra);
    } catch (failure) {
      run.signal.throwIfAborted();
      if (isTemporary(failure) && !deadline.isOver() && run.tries + 1 < mostTries(failure, MAX_TRIES)) throw failure;
      return await done(context, job, clusters, safeText(reasonOf(failure)), {});
    }
  };

const isTemporary = (error: unknown): boolean => !(error instanceof DfError && !error.retryable);

async function done(
  { work }: JobContext,
  job: WantedJob,
  clusters: readonly ClusterOutcome[],
  error: string | undefined,
  extra: object,
): Promise<Advance> {
  const { groupId, type, createdAt } = job;
  const state = error === undefined ? 'SUCCESS' : 'FAILURE';
  const result = {
    ...toJobResult({ groupId, type, state, createdAt, updatedAt: new Date(), clusters, error }),
    ...extra,
  };
  await work.note(job.id, job.attempt, { result }, new Date());
  return { kind: 'done', report: jobReportOf(state, error) };
}

async function workOf(
  context: JobContext,
  { type }: JobMessage,
  job: WantedJob,
  signal: AbortSignal,
): Promise<InCluster> {
  const args = argsOf(context, job);
  switch (type) {
    case 'get_task':
      return getTask(context, args);
    case 'list_tasks':
      return listTasks(context, args);
    case 'delete_task':
      return deleteTask(context, args);
    case 'get_image_distribution':
      return await imageDistribution(context, args, job, signal);
    case 'sync_peers':
      return (clusterId, inTime) => syncPeersOf(context, clusterId, inTime);
    case 'preheat':
    case 'gc':
      throw new TypeError(`${type} is no job of one step`);
  }
}

/** Ids under which daemons may hold what is asked for. */
function idsOf(given: Readonly<Record<string, unknown>>, byDigest: boolean): readonly string[] {
  const { task_id: id, url, content_for_calculating_task_id: content, ...args } = taskArgs.parse(given);
  if (id !== undefined) return [id];
  if (content !== undefined) return [taskIdOf({ url: url ?? 'http://x/', contentForCalculatingTaskId: content })];
  if (url === undefined || URL.parse(url) === null) throw new PreheatRequestError('url: expected a URL');
  return taskIdsOf(url, toTaskIdentity(args), byDigest);
}

interface Holder {
  readonly host: ClusterHost;
  readonly taskId: string;
  readonly stat: dfdaemon.StatLocalTaskResponse;
}

/** Asks every host of a cluster; those that do not answer are passed over. */
async function holders(
  { hosts, connect }: JobContext,
  clusterId: number,
  taskIds: readonly string[],
  concurrency: number,
  signal: AbortSignal,
): Promise<readonly Holder[]> {
  const found: Holder[] = [];
  const ask = async (host: ClusterHost): Promise<void> => {
    const client = createClient(dfdaemon.DfdaemonUpload, connect(host));
    for (const taskId of taskIds) {
      try {
        found.push({
          host,
          taskId,
          stat: await client.statLocalTask({ taskId }, { signal, timeoutMs: STAT_TIMEOUT_MS }),
        });
      } catch (error) {
        if (ConnectError.from(error).code !== Code.NotFound) return;
      }
    }
  };
  await each(await hosts.of(clusterId), concurrency, ask, { signal });
  signal.throwIfAborted();
  return found.sort((a, b) => (a.host.id < b.host.id ? -1 : 1));
}

const typeOf = ({ kind }: ClusterHost): string => (kind === 'seed' ? 'super' : 'normal');

function getTask(context: JobContext, args: Readonly<Record<string, unknown>>): InCluster {
  const taskIds = idsOf(args, context.byDigest);
  const concurrency = taskArgs.parse(args).concurrent_peer_count ?? DEFAULT_PEERS;
  return async (clusterId, signal) => {
    const found = await holders(context, clusterId, taskIds, concurrency, signal);
    return {
      peers: found.slice(0, MAX_RESULT_HOSTS).map(({ host, taskId, stat }) => ({
        ...{ id: host.id, task_id: taskId, hostname: host.hostname, ip: host.ip, host_type: typeOf(host) },
        created_at: timeOf(stat.createdAt),
        updated_at: timeOf(stat.updatedAt),
        IsFinished: stat.finishedAt !== undefined,
      })),
    };
  };
}

/** The latest ones; `is_complete` says whether all are there. */
function listTasks({ listing }: JobContext, args: Readonly<Record<string, unknown>>): InCluster {
  const { task_id: idPrefix, state, url } = listArgs.parse(args) ?? {};
  return async (clusterId, signal) => {
    const { items, incomplete } = await listing.tasks({ clusterId, idPrefix, state }, signal);
    const tasks = joinTasks(items).filter(({ told }) => url === undefined || told.url === url);
    return {
      is_complete: incomplete.length === 0 && tasks.length <= MAX_RESULT_TASKS,
      tasks: tasks.slice(0, MAX_RESULT_TASKS).map(({ told }) => ({
        ...{ id: told.id, url: safeUrl(told.url), state: told.state, tag: told.tag, application: told.application },
        ...{ content_length: numberOf(told.contentLength), piece_length: numberOf(told.pieceLength) },
        ...{ piece_count: numberOf(told.pieceCount), peer_count: Number(told.peers) },
        seed_peer_count: Number(told.seedPeers),
        created_at: new Date(Number(told.createdAtMs)).toISOString(),
        updated_at: new Date(Number(told.updatedAtMs)).toISOString(),
      })),
    };
  };
}

const numberOf = (value: bigint | undefined): number | null => (value === undefined ? null : Number(value));

function deleteTask(context: JobContext, args: Readonly<Record<string, unknown>>): InCluster {
  const taskIds = idsOf(args, context.byDigest);
  const concurrency = taskArgs.parse(args).concurrent_peer_count ?? DEFAULT_PEERS;
  return async (clusterId, signal) => {
    const tasks = { success_tasks: [] as object[], failure_tasks: [] as object[] };
    const found = await holders(context, clusterId, taskIds, concurrency, signal);
    await each(
      found,
      concurrency,
      async ({ host, taskId }) => {
        const told = { hostname: host.hostname, ip: host.ip, host_type: typeOf(host) };
        try {
          await deleteOn(context.connect(host), taskId, signal);
          tasks.success_tasks.push(told);
        } catch (error) {
          tasks.failure_tasks.push({ ...told, description: safeText(reasonOf(error)) });
        }
      },
      { signal },
    );
    signal.throwIfAborted();
    const [failure] = tasks.failure_tasks as { description: string; hostname: string }[];
    if (failure !== undefined && tasks.success_tasks.length === 0)
      throw new PreheatRequestError(`${failure.hostname}: ${failure.description}`);
    return tasks;
  };
}

async function deleteOn(transport: Transport, taskId: string, signal: AbortSignal): Promise<void> {
  await createClient(dfdaemon.DfdaemonUpload, transport).deleteTask({ taskId }, { signal, timeoutMs: STAT_TIMEOUT_MS });
}

async function imageDistribution(
  context: JobContext,
  given: Readonly<Record<string, unknown>>,
  job: WantedJob,
  signal: AbortSignal,
): Promise<InCluster> {
  const { reader, trust, hosts, connect, byDigest } = context;
  const args = imageArgs.parse(given);
  const identity = toTaskIdentity(args);
  const platforms =
    args.platform === undefined
      ? [...new Set((await Promise.all(job.clusterIds.map(async (id) => platformsOf(await hosts.of(id))))).flat())]
      : [args.platform];
  const image = await reader.resolve(
    args.url,
    { platforms, mayLack: args.platform === undefined },
    toAccess(args, trust),
    { signal, isBare: args.reference !== undefined },
  );
  const files = image.files.map(({ url }) => ({
    url,
    taskIds: [taskIdFor(url, identity, byDigest), ...taskIdsOf(url, identity, byDigest).slice(1)],
  }));
  const ways = {
    connect,
    concurrentHosts: args.concurrent_peer_count ?? DEFAULT_PEERS,
    concurrentFiles: args.concurrent_layer_count ?? DEFAULT_LAYERS,
  };
  return async (clusterId, inTime) => {
    const normal = (await hosts.of(clusterId)).filter(({ kind }) => kind === 'normal');
    const { held } = await askWhoHolds(normal, files, ways, { signal: inTime });
    return {
      image: { layers: files.map(({ url }) => ({ url })) },
      peers: held.slice(0, MAX_RESULT_HOSTS).map(({ host, urls }) => ({
        ...{ ip: host.ip, hostname: host.hostname, scheduler_cluster_id: clusterId },
        cached_layers: urls.map((url) => ({ url })),
      })),
    };
  };
}

async function syncPeersOf(
  { hosts, work, peers, logger }: JobContext,
  clusterId: number,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const schedulers = await work.schedulers(clusterId, new Date());
  const { peers: found, silent } = await syncPeers(
    {
      ...{ clusterId, schedulers, book: peers, batchSize: PEERS_AT_ONCE, clock: Date.now },
      listHosts: (scheduler, options) => hosts.listOn(scheduler, options),
      onSilent: ({ ip, port }, error) =>
        logger.warn({ err: error, ip, port, clusterId }, 'a scheduler does not say which peers it has'),
    },
    { signal },
  );
  if (silent === schedulers.length) throw new ClusterUnreachableError(`no scheduler of cluster ${clusterId} answers`);
  return { peers: found };
}

/** Removes what is old; the same everywhere, so no cluster is asked. */
async function purge(
  { audits, jobs, retentionMs }: JobContext,
  { args }: WantedJob,
  signal: AbortSignal,
): Promise<{ readonly purged: number }> {
  const { type } = z.looseObject({ type: z.enum(['audit', 'job']) }).parse(args);
  const before = new Date(Date.now() - retentionMs[type]);
  const remove = (limit: number): Promise<number> =>
    type === 'audit' ? audits.removeBefore(before, limit) : jobs.removeEndedBefore(before, KEPT_PREHEATS, limit);
  return { purged: await inBatches(remove, { signal }) };
}

function timeOf(at: { readonly seconds: bigint; readonly nanos: number } | undefined): string | null {
  return at === undefined ? null : new Date(Number(at.seconds) * 1_000 + Math.floor(at.nanos / 1e6)).toISOString();
}
