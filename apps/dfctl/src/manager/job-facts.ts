import type { AnswerOf } from '@d7y/manager-api';
import { z } from 'zod';

export type Job = AnswerOf<'jobs.get'>;

/** How far a job has come. */
export interface JobProgress {
  readonly layersTotal: number;
  readonly layersDone: number;
  readonly peersTotal: number;
  readonly peersDone: number;
}

/** How one layer, or file, fared so far. */
export interface LayerFacts {
  readonly url: string;
  /** Host names. */
  readonly hosts: readonly string[];
  readonly failures: readonly { readonly host: string; readonly reason: string }[];
}

const count = z.number().catch(0);
const progress = z.object({ layers_total: count, layers_done: count, peers_total: count, peers_done: count });
const host = z.object({ url: z.string(), hostname: z.string().catch(''), ip: z.string().catch('') });
const outcome = z.object({
  success_tasks: z.array(host).nullish(),
  failure_tasks: z.array(host.extend({ description: z.string().catch('') })).nullish(),
});
const result = z.object({
  job_states: z.array(z.object({ error: z.string().nullish(), results: z.array(outcome).nullish() })),
});

export function progressOf(job: Job): JobProgress | undefined {
  const { success, data } = progress.safeParse(job.progress);
  if (!success) return undefined;
  return {
    ...{ layersTotal: data.layers_total, layersDone: data.layers_done },
    ...{ peersTotal: data.peers_total, peersDone: data.peers_done },
  };
}

/** The layers of a preheat, in the order in which the job tells of them. */
export function layersOf(job: Job): LayerFacts[] {
  const outcomes = (result.safeParse(job.result).data?.job_states ?? []).flatMap(({ results }) => results ?? []);
  const layers = new Map<string, { hosts: string[]; failures: { host: string; reason: string }[] }>();
  const layer = (url: string) => {
    const known = layers.get(url) ?? { hosts: [], failures: [] };
    layers.set(url, known);
    return known;
  };
  for (const { success_tasks, failure_tasks } of outcomes) {
    for (const task of success_tasks ?? []) layer(task.url).hosts.push(task.hostname || task.ip);
    for (const task of failure_tasks ?? [])
      layer(task.url).failures.push({ host: task.hostname || task.ip, reason: task.description });
  }
  return [...layers].map(([url, facts]) => ({ url, ...facts }));
}

/** Why a job failed, in as many lines as there are reasons; each once. */
export function reasonsOf(job: Job): string[] {
  const states = result.safeParse(job.result).data?.job_states ?? [];
  const layers = layersOf(job).flatMap(({ url, failures }) =>
    failures.map((failed) => `${shortName(url)} on ${failed.host || 'a host'}: ${failed.reason || 'no reason given'}`),
  );
  const reasons = [job.error ?? '', ...states.map(({ error }) => error ?? ''), ...layers];
  return [...new Set(reasons.filter((reason) => reason !== ''))];
}

/** What people tell layers apart by: the digest, or the end of the address. */
export function shortName(url: string): string {
  const [digest] = /sha256:[0-9a-f]{12}/.exec(url) ?? [];
  if (digest !== undefined) return digest;
  const path = url.split(/[?#]/, 1)[0] ?? '';
  return path.length > 60 ? `…${path.slice(-60)}` : path;
}

/** What the job is about, as it was asked for. */
export function subjectOf(job: Job): string {
  const { url, task_id: taskId } = job.args as { url?: unknown; task_id?: unknown };
  if (typeof url === 'string') return url;
  return typeof taskId === 'string' ? taskId : '';
}
