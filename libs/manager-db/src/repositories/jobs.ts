import { and, count, desc, eq, inArray, lt, ne, notInArray, sql } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import {
  jobs,
  jobSchedulerClusters,
  jobSeedPeerClusters,
  jobTargets,
  schedulerClusters,
  seedPeerClusters,
} from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { JobRow, SchedulerClusterRow, SeedPeerClusterRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

/** Clusters of a job. */
export interface JobClusters {
  readonly schedulerClusters: readonly SchedulerClusterRow[];
  readonly seedPeerClusters: readonly SeedPeerClusterRow[];
}

/** Layers on hosts of a cluster, by name, that are in the same state. */
export interface TargetCount {
  readonly cluster: string;
  readonly state: (typeof jobTargets.$inferSelect)['state'];
  readonly count: number;
}

/** A job in short, for those who watch it. */
export type WatchedJobRow = Pick<JobRow, keyof typeof WATCHED>;

const WATCHED = {
  ...{ id: jobs.id, type: jobs.type, bio: jobs.bio, state: jobs.state, phase: jobs.phase, progress: jobs.progress },
  ...{ error: jobs.error, userId: jobs.userId, createdAt: jobs.createdAt, updatedAt: jobs.updatedAt },
};

/** Preheats that are kept however old they are. */
export const KEPT_PREHEATS = 100;

/** Jobs as REST shows them and retention removes them. How they begin and end is the matter of JobIntake and JobWork. */
export class JobRepository extends TableRepository<typeof jobs> {
  readonly #byId;

  constructor(db: Db) {
    super(db, jobs, 'job');
    this.#byId = db
      .select()
      .from(jobs)
      .where(eq(jobs.id, sql.placeholder('id')))
      .prepare('job_by_id');
  }

  override async find(id: number): Promise<JobRow | undefined> {
    const [row] = await asked(this.#byId.execute({ id }));
    return row;
  }

  page(
    filter: {
      readonly type?: string | undefined;
      readonly state?: JobRow['state'] | undefined;
      readonly userId?: number | undefined;
    },
    page: Page,
  ): Promise<Paged<JobRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  /**
   * Jobs that people watch: the newest, those that are pending, and those that are named and still there; in no order.
   * @param newest how many of the newest
   * @param pending at most so many that are pending, those that changed last
   */
  async watched(which: {
    readonly newest: number;
    readonly pending: number;
    readonly ids: readonly number[];
  }): Promise<readonly WatchedJobRow[]> {
    // Apart, since each has an index of its own; asked for together, the whole table would be read.
    const rows = () => this.db.select(WATCHED).from(jobs);
    const [newest, pending] = await Promise.all([
      asked(rows().orderBy(desc(jobs.id)).limit(which.newest)),
      asked(rows().where(eq(jobs.state, 'PENDING')).orderBy(desc(jobs.updatedAt)).limit(which.pending)),
    ]);
    const found = new Map([...newest, ...pending].map((row) => [row.id, row]));
    const others = which.ids.filter((id) => !found.has(id));
    if (others.length > 0)
      for (const row of await asked(rows().where(sql`${jobs.id} = any(${`{${others.join()}}`}::bigint[])`)))
        found.set(row.id, row);
    return [...found.values()];
  }

  /** @throws {NotFoundError} {@link ReferenceNotFoundError} no such user */
  update(id: number, change: Partial<Pick<JobRow, 'bio' | 'userId'>>, now: Date): Promise<JobRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }

  /** The clusters of each of these jobs, in the order of their ids. */
  async clustersOf(jobIds: readonly number[]): Promise<Map<number, JobClusters>> {
    const ids = [...jobIds];
    const [schedulers, seeds] = await Promise.all([
      asked(
        this.db
          .select({ jobId: jobSchedulerClusters.jobId, cluster: schedulerClusters })
          .from(jobSchedulerClusters)
          .innerJoin(schedulerClusters, eq(schedulerClusters.id, jobSchedulerClusters.schedulerClusterId))
          .where(inArray(jobSchedulerClusters.jobId, ids))
          .orderBy(schedulerClusters.id),
      ),
      asked(
        this.db
          .select({ jobId: jobSeedPeerClusters.jobId, cluster: seedPeerClusters })
          .from(jobSeedPeerClusters)
          .innerJoin(seedPeerClusters, eq(seedPeerClusters.id, jobSeedPeerClusters.seedPeerClusterId))
          .where(inArray(jobSeedPeerClusters.jobId, ids))
          .orderBy(seedPeerClusters.id),
      ),
    ]);
    const of = <T>(rows: readonly { jobId: number; cluster: T }[], jobId: number) =>
      rows.flatMap((row) => (row.jobId === jobId ? [row.cluster] : []));
    return new Map(ids.map((id) => [id, { schedulerClusters: of(schedulers, id), seedPeerClusters: of(seeds, id) }]));
  }

  /** What became of the layers of a job on the hosts of each cluster. */
  async targetCounts(jobId: number): Promise<readonly TargetCount[]> {
    const kind = { cluster: schedulerClusters.name, state: jobTargets.state };
    return await asked(
      this.db
        .select({ ...kind, count: count() })
        .from(jobTargets)
        .innerJoin(schedulerClusters, eq(schedulerClusters.id, jobTargets.schedulerClusterId))
        .where(eq(jobTargets.jobId, jobId))
        .groupBy(kind.cluster, kind.state),
    );
  }

  /**
   * Removes jobs that ended before; never one that is pending, nor one of the newest preheats.
   * @returns how many, at most `limit`
   */
  async removeEndedBefore(deadline: Date, keepPreheats: number, limit: number): Promise<number> {
    const isPreheat = eq(jobs.type, 'preheat');
    const newest = this.db
      .select({ id: jobs.id })
      .from(jobs)
      .where(isPreheat)
      .orderBy(desc(jobs.createdAt))
      .limit(keepPreheats);
    const isOld = and(ne(jobs.state, 'PENDING'), lt(jobs.updatedAt, deadline), notInArray(jobs.id, newest));
    const old = this.db.select({ id: jobs.id }).from(jobs).where(isOld).limit(limit);
    return (await asked(this.db.delete(jobs).where(inArray(jobs.id, old)).returning({ id: jobs.id }))).length;
  }
}
