import type { JobLayer, NewLayer, WantedJob } from '@d7y/manager-db';
import { DfError } from '@d7y/piece';
import { PreheatRequestError, taskIdFor, withoutSignature } from '@d7y/preheat';
import {
  type Advance,
  type ClusterOutcome,
  type JobMessage,
  jobReportOf,
  type LayerMessage,
  type Run,
  toJobResult,
} from '@d7y/preheat-queue';
import { safeText, safeUrl } from '@d7y/service-kit';
import { platformsOf } from '../cluster/cluster-hosts.ts';
import { argsOf, type JobContext, mostTries, reasonOf, untilDeadline } from './context.ts';
import { type PreheatRequest, toPreheatRequest } from './preheat-request.ts';

/** Tries of the plan, at registries and schedulers that do not answer. */
const MAX_PLAN_TRIES = 5;
/** Hosts told of one by one in a result, those that failed first. */
const MAX_RESULT_TASKS = 10_000;
/** A layer over which workers die is given up. */
const MAX_ROUNDS = 8;

/** The next step of a preheat: its plan, then what is left of its layers, at last its result. */
export const advancePreheat =
  (context: JobContext) =>
  async (message: JobMessage, run: Run): Promise<Advance> => {
    const { work } = context;
    const job = await work.wanted(message.jobId, message.attempt);
    if (job === undefined) return { kind: 'done', report: jobReportOf('FAILURE', 'nobody wants it any more') };
    const deadline = untilDeadline(job, run.signal);
    let request: PreheatRequest;
    let layers: readonly JobLayer[];
    try {
      request = toPreheatRequest(argsOf(context, job), context.trust);
      await work.note(job.id, job.attempt, { phase: 'STARTED' }, new Date());
      if ((await work.layers(job.id)).length === 0)
        await work.plan(job.id, await planOf(context, job, request, deadline.signal));
      layers = await work.layers(job.id);
    } catch (error) {
      run.signal.throwIfAborted();
      const isPermanent = error instanceof DfError && !error.retryable;
      if (!isPermanent && !deadline.isOver() && run.tries + 1 < mostTries(error, MAX_PLAN_TRIES)) throw error;
      const reason = deadline.isOver() ? 'the job took longer than it may' : safeText(reasonOf(error));
      return await ended(context, job, [], reason);
    }
    const left = layers.filter(({ state }) => state === 'PENDING' || state === 'STARTED' || state === 'RETRY');
    for (const layer of left)
      if (deadline.isOver() || layer.attempts >= MAX_ROUNDS)
        await work.setLayer(nameOf(job.id, layer), {
          ...{ state: 'FAILURE', finishedAt: new Date() },
          error: deadline.isOver() ? 'the job took longer than it may' : (layer.error ?? 'workers died over it'),
        });
    const open = deadline.isOver() ? [] : left.filter(({ attempts }) => attempts < MAX_ROUNDS);
    if (open.length > 0)
      return { kind: 'layers', layers: await firstLayers(context, message, open, request.concurrentLayers) };
    return await ended(context, job, await work.layers(job.id), undefined);
  };

/** The layers that begin: those that were begun before, and as many others as may be under way in each cluster. */
async function firstLayers(
  { work }: JobContext,
  message: JobMessage,
  open: readonly JobLayer[],
  limit: number,
): Promise<readonly LayerMessage[]> {
  const first: JobLayer[] = [];
  for (const clusterId of new Set(open.map((layer) => layer.schedulerClusterId))) {
    const begun = open.filter((layer) => layer.schedulerClusterId === clusterId && layer.state !== 'PENDING');
    first.push(...begun, ...(await work.claim(message.jobId, clusterId, limit - begun.length)));
  }
  return first.map((layer) => toLayerMessage(message, layer));
}

export function toLayerMessage(
  { jobId, attempt, traceparent }: Pick<JobMessage, 'jobId' | 'attempt' | 'traceparent'>,
  layer: JobLayer,
): LayerMessage {
  const { schedulerClusterId: clusterId, taskId, attempts: round } = layer;
  return { jobId, attempt, clusterId, taskId, round, ...(traceparent === undefined ? {} : { traceparent }) };
}

export const nameOf = (jobId: number, { schedulerClusterId: clusterId, taskId }: JobLayer) => ({
  jobId,
  clusterId,
  taskId,
});

/** What is to be brought where. */
async function planOf(
  context: JobContext,
  job: WantedJob,
  request: PreheatRequest,
  signal: AbortSignal,
): Promise<readonly NewLayer[]> {
  const { reader, byDigest, maxLayers } = context;
  const [url = ''] = request.urls;
  if (request.kind === 'file') {
    return job.clusterIds.flatMap((schedulerClusterId) =>
      request.urls.map((one) => {
        reader.check(new URL(one));
        return {
          ...{ schedulerClusterId, taskId: taskIdFor(one, request.identity, byDigest), url: safeUrl(one) },
          ...{ digest: '', bytes: undefined, platforms: [] },
        };
      }),
    );
  }
  const wanted = new Map<number, readonly string[]>();
  for (const clusterId of job.clusterIds) wanted.set(clusterId, await platformsIn(context, clusterId, request));
  const platforms = [...new Set([...wanted.values()].flat())];
  const image = await reader.resolve(url, { platforms, mayLack: request.platforms.length === 0 }, request.access, {
    ...{ signal, isBare: request.isBare },
  });
  const plan = job.clusterIds.flatMap((schedulerClusterId) => {
    const here = wanted.get(schedulerClusterId) ?? [];
    return image.files
      .filter(
        (file) => file.platforms.length === 0 || here.length === 0 || file.platforms.some((one) => here.includes(one)),
      )
      .map((file) => ({
        ...{ schedulerClusterId, url: file.url, digest: file.digest, bytes: file.size, platforms: file.platforms },
        // Private content is known by its address, as pulls of it are.
        taskId: taskIdFor(file.url, request.identity, byDigest && !image.isPrivate),
      }));
  });
  const most = Math.max(
    0,
    ...job.clusterIds.map((id) => plan.filter((layer) => layer.schedulerClusterId === id).length),
  );
  if (most > maxLayers) throw new PreheatRequestError(`url: the image has ${most} files, more than ${maxLayers}`);
  if (plan.length === 0) throw new PreheatRequestError('url: the image has no files');
  return plan;
}

async function platformsIn(
  { hosts, defaultPlatforms }: JobContext,
  clusterId: number,
  request: PreheatRequest,
): Promise<readonly string[]> {
  if (request.platforms.length > 0) return request.platforms;
  if (defaultPlatforms.length > 0) return defaultPlatforms;
  return platformsOf(await hosts.of(clusterId));
}

/** Which of the URLs of a request a layer stands for. */
export function urlOf(layer: JobLayer, request: PreheatRequest, byDigest: boolean): string {
  if (request.kind === 'image') return layer.url;
  return request.urls.find((url) => taskIdFor(url, request.identity, byDigest) === layer.taskId) ?? layer.url;
}

async function ended(
  { work }: JobContext,
  job: WantedJob,
  layers: readonly JobLayer[],
  reason: string | undefined,
): Promise<Advance> {
  const targets = await work.targets(job.id);
  const byLayer = new Map(layers.map((layer) => [`${layer.schedulerClusterId} ${layer.taskId}`, layer]));
  const clusters: ClusterOutcome[] = job.clusterIds.map((clusterId) => {
    const own = layers.filter((layer) => layer.schedulerClusterId === clusterId);
    const failed = own.filter(({ state }) => state !== 'SUCCESS');
    const there = targets.filter((target) => target.schedulerClusterId === clusterId);
    const taskOf = ({ taskId, hostname, ip }: (typeof there)[number]) => ({
      url: withoutSignature(byLayer.get(`${clusterId} ${taskId}`)?.url ?? '', { filteredQueryParams: [] }),
      ...{ hostname, ip },
    });
    const failures = there.filter(({ state }) => state !== 'SUCCESS');
    const state = reason !== undefined || failed.length > 0 || own.length === 0 ? 'FAILURE' : 'SUCCESS';
    return {
      ...{ schedulerClusterId: clusterId, state },
      error: state === 'SUCCESS' ? undefined : (reason ?? sentenceOf(failed, failures)),
      details: {
        success_tasks: there
          .filter((target) => target.state === 'SUCCESS')
          .slice(0, MAX_RESULT_TASKS)
          .map(taskOf),
        failure_tasks: failures.slice(0, MAX_RESULT_TASKS).map((target) => ({
          ...taskOf(target),
          description: target.error ?? byLayer.get(`${clusterId} ${target.taskId}`)?.error ?? 'not reached',
        })),
      },
    };
  });
  const outcome = clusters.every(({ state }) => state === 'SUCCESS') ? 'SUCCESS' : 'FAILURE';
  const error = clusters.find((cluster) => cluster.error !== undefined)?.error;
  const { groupId, type, createdAt } = job;
  const result = toJobResult({ groupId, type, state: outcome, createdAt, updatedAt: new Date(), clusters, error });
  await work.note(job.id, job.attempt, { result, progress: await work.progress(job.id) }, new Date());
  return { kind: 'done', report: jobReportOf(outcome, outcome === 'SUCCESS' ? undefined : error) };
}

/** Which layer, on which host, and why. */
function sentenceOf(
  failed: readonly JobLayer[],
  targets: readonly { taskId: string; hostname: string; error: string | null }[],
): string {
  const [layer] = failed;
  if (layer === undefined) return 'nothing was to be brought';
  const target = targets.find(({ taskId }) => taskId === layer.taskId);
  const what = layer.digest || layer.url;
  const where = target === undefined ? '' : ` on ${target.hostname}`;
  const more = failed.length > 1 ? ` (and ${failed.length - 1} more)` : '';
  return `${what}${where}: ${target?.error ?? layer.error ?? 'failed'}${more}`;
}
