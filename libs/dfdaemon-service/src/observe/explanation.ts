import type { TaskExplanation } from '@d7y/peer-engine';
import type { RouteExplanation } from '@d7y/registry-proxy';
import type { SchedulerStatus } from '../scheduler/scheduler-directory.ts';

/** What `POST /explain` on the daemon's socket answers, as JSON; what is not known is left out. */
export interface Explanation {
  readonly url: string;
  readonly route: Omit<RouteExplanation, 'taskId'>;
  readonly task: { readonly id: string; readonly held: object | undefined } | undefined;
  /** The last download, running or over, since the daemon started. */
  readonly download: TaskExplanation['download'];
  /** In the order in which they are asked about the task. */
  readonly schedulers: readonly { readonly address: string; readonly reachable: boolean }[];
  /** Host ids, in the order in which they are asked without a scheduler. */
  readonly seeds: readonly string[];
}

export interface ExplanationSources {
  /** @throws what a client of the proxy would be told */
  readonly route: (url: string) => RouteExplanation;
  readonly task: (taskId: string) => TaskExplanation;
  /** In the order of their ring for a task. */
  readonly schedulers: (taskId: string) => readonly Pick<SchedulerStatus, 'address' | 'reachable'>[];
  readonly seeds: (taskId: string) => readonly { readonly hostId: string }[];
}

/** Says what becomes of a URL, and what became of it. Nothing is asked of anybody. */
export function explanationOf(url: string, sources: ExplanationSources): Explanation {
  const { taskId, ...route } = sources.route(url);
  const { held, download } = taskId === undefined ? { held: undefined, download: undefined } : sources.task(taskId);
  return {
    url: url.replace(/[?#].*$/s, ''),
    route,
    task:
      taskId === undefined ? undefined : { id: taskId, held: held && { ...held.layout, ...held, layout: undefined } },
    download,
    schedulers: sources.schedulers(taskId ?? '').map(({ address, reachable }) => ({ address, reachable })),
    seeds: sources.seeds(taskId ?? '').map(({ hostId }) => hostId),
  };
}
