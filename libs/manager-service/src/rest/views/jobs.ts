import type { AnswerOf, WatchedJob } from '@d7y/manager-api';
import type { schema, WatchedJobRow } from '@d7y/manager-db';
import { isSecretHeader, safeUrl } from '@d7y/service-kit';
import type { SchedulerClusterRow, SeedPeerClusterRow } from './clusters.ts';
import { toBareSchedulerCluster, toBareSeedPeerCluster } from './clusters.ts';
import { instantOf, storedFields } from './stored.ts';
import { toUser } from './users.ts';

export type JobRow = typeof schema.jobs.$inferSelect;

export interface JobRelations {
  readonly user: typeof schema.users.$inferSelect | undefined;
  readonly schedulerClusters: readonly SchedulerClusterRow[];
  readonly seedPeerClusters: readonly SeedPeerClusterRow[];
}

/** A job as everybody who may read jobs may see it: credentials are not stored with it, and would not leave if they were. */
export const toJob = (
  row: JobRow,
  { user, schedulerClusters, seedPeerClusters }: JobRelations,
): AnswerOf<'jobs.get'> => ({
  ...storedFields(row),
  task_id: row.taskId,
  bio: row.bio,
  type: row.type,
  state: row.state,
  phase: row.phase,
  args: withoutCredentials(row.args),
  result: row.result === null ? null : { ...row.result },
  progress: row.progress === null ? null : { ...row.progress },
  error: row.error,
  user_id: row.userId ?? 0,
  user: user === undefined ? null : toUser(user),
  seed_peer_clusters: seedPeerClusters.map(toBareSeedPeerCluster),
  scheduler_clusters: schedulerClusters.map(toBareSchedulerCluster),
});

/** A job in short, for those who watch it. */
export const toWatchedJob = (row: WatchedJobRow): WatchedJob => ({
  id: row.id,
  type: row.type,
  bio: row.bio,
  state: row.state,
  phase: row.phase,
  progress: row.progress === null ? null : { ...row.progress },
  error: row.error,
  user_id: row.userId ?? 0,
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
});

/** Fields of arguments that are credentials, whatever they hold. */
const CREDENTIALS: ReadonlySet<string> = new Set(['username', 'password']);

function withoutCredentials(args: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(args).flatMap(([name, value]) => {
      if (CREDENTIALS.has(name)) return [];
      if (name === 'headers' && typeof value === 'object' && value !== null)
        return [[name, Object.fromEntries(Object.entries(value).filter(([header]) => !isSecretHeader(header)))]];
      return [[name, withoutUserInfo(value)]];
    }),
  );
}

/** A URL without user and password; a query is part of what was asked for and stays. */
function withoutUserInfo(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUserInfo);
  if (typeof value !== 'string' || !/^[a-z][a-z0-9+.-]*:\/\/[^/]*@/i.test(value)) return value;
  return safeUrl(value.split('?', 1)[0] ?? '');
}

const PREHEAT_STATUS = { SUCCESS: 'SUCCESS', FAILURE: 'FAIL' } as const;

/** The status of a job in the words of preheats. */
export const preheatStatusOf = ({ state, phase }: JobRow): AnswerOf<'preheat.get'>['status'] =>
  state === 'PENDING' ? (phase === 'PENDING' ? 'WAITING' : 'RUNNING') : PREHEAT_STATUS[state];

export const toPreheat = (row: JobRow): AnswerOf<'preheat.get'> => ({
  id: String(row.id),
  status: preheatStatusOf(row),
  progress: {
    layers_total: countOf(row.progress, 'layers_total'),
    layers_done: countOf(row.progress, 'layers_done'),
    peers_total: countOf(row.progress, 'peers_total'),
    peers_done: countOf(row.progress, 'peers_done'),
  },
  startTime: instantOf(row.startedAt),
  finishTime: instantOf(row.finishedAt),
  error: row.error,
});

function countOf(progress: JobRow['progress'], name: string): number {
  const count = progress?.[name];
  return typeof count === 'number' && Number.isSafeInteger(count) ? count : 0;
}
