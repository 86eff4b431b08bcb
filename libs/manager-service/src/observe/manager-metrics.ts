import { Counter, Gauge, type Registry } from 'prom-client';
import { VERSION } from '../version.ts';

const PREFIX = 'dragonfly_manager_';
/** Versions of daemons that are told apart; the name of one is what a caller says of itself. */
const MAX_CALLER_VERSIONS = 100;

export type ManagerMetrics = ReturnType<typeof createManagerMetrics>;

/** The counters of a manager, under the published names where there are some. */
export function createManagerMetrics(registry: Registry) {
  const registers = [registry];
  new Gauge({
    name: `${PREFIX}version`,
    help: 'always 1; its labels say which program this is',
    labelNames: [
      'major',
      'minor',
      'git_version',
      'git_commit',
      'platform',
      'build_time',
      'go_version',
      'go_tags',
      'go_gcflags',
    ],
    registers,
  }).set(
    {
      ...{
        major: VERSION.split('.')[0] ?? '',
        minor: VERSION.split('.')[1] ?? '',
        git_version: VERSION,
        git_commit: '',
      },
      ...{
        platform: `${process.platform}/${process.arch}`,
        build_time: '',
        go_version: '',
        go_tags: '',
        go_gcflags: '',
      },
    },
    1,
  );
  const searches = new Counter({
    name: `${PREFIX}search_scheduler_cluster_total`,
    help: 'daemons that asked for the cluster that suits them',
    labelNames: ['version', 'commit'],
    registers,
  });
  const failures = new Counter({
    name: `${PREFIX}search_scheduler_cluster_failure_total`,
    help: 'those that got no answer',
    labelNames: ['version', 'commit'],
    registers,
  });
  const known = new Set<string>();
  return {
    /** Counts a search; callers with versions that nobody can have are counted together. */
    search({ version, commit }: { readonly version: string; readonly commit: string }, isAnswered: boolean): void {
      const key = `${version} ${commit}`;
      if (!known.has(key) && known.size < MAX_CALLER_VERSIONS) known.add(key);
      const labels = known.has(key) ? { version, commit } : { version: 'other', commit: 'other' };
      searches.inc(labels);
      if (!isAnswered) failures.inc(labels);
    },
    leaderRuns: new Counter({
      name: `${PREFIX}background_runs_total`,
      help: 'runs of work in the background, on the manager that leads',
      labelNames: ['task', 'result'],
      registers,
    }),
  };
}
