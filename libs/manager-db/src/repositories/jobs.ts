import { and, count, desc, eq, getTableColumns, gt, inArray, lt, lte, min, ne, notInArray, sql } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import {
  jobs,
  jobSchedulerClusters,
  jobSeedPeerClusters,
  schedulerClusters,
  seedPeerClusters,
} from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { JobRow, SchedulerClusterRow, SeedPeerClusterRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export interface SubmittedValues extends Pick<
  JobRow,
  'taskId' | 'bio' | 'type' | 'args' | 'dedupKey' | 'idempotencyKey' | 'traceparent' | 'userId'
> {
  readonly deadlineAt: Date | null;
  readonly schedulerClusterIds: readonly number[];
  readonly seedPeerClusterIds: readonly number[];
}

export interface SubmittedJobRow {
  readonly job: JobRow;
  /** Otherwise the same request is pending already, or came with the same key within a day. */
  readonly isNew: boolean;
}

/** Clusters of a job. */
export interface JobClusters {
  readonly schedulerClusters: readonly SchedulerClusterRow[];
  readonly seedPeerClusters: readonly SeedPeerClusterRow[];
}

const KEY_LASTS_MS = 24 * 3600 * 1000;
const SUBMIT_TRIES = 5;

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
   * Writes down a job, or finds the one that does what is asked for already. Of several that ask at once for the same, one makes the row.
   * Run it in a transaction, with what belongs to the job.
   * @throws {ReferenceNotFoundError} there is no such user or cluster
   */
  async submit(values: SubmittedValues, now: Date): Promise<SubmittedJobRow> {
    const { schedulerClusterIds, seedPeerClusterIds, ...row } = values;
    for (let tries = 0; tries < SUBMIT_TRIES; tries++) {
      const known = await this.#known(row, now);
      if (known !== undefined) return { job: known, isNew: false };
      const insert = this.db.insert(jobs).values({ ...row, createdAt: now, updatedAt: now });
      const [job] = await asked(insert.onConflictDoNothing().returning());
      if (job === undefined) continue; // somebody was faster; his is known now, unless it has ended meanwhile
      const jobId = job.id;
      if (schedulerClusterIds.length > 0) {
        const links = schedulerClusterIds.map((schedulerClusterId) => ({ jobId, schedulerClusterId }));
        await asked(this.db.insert(jobSchedulerClusters).values(links));
      }
      if (seedPeerClusterIds.length > 0) {
        const links = seedPeerClusterIds.map((seedPeerClusterId) => ({ jobId, seedPeerClusterId }));
        await asked(this.db.insert(jobSeedPeerClusters).values(links));
      }
      return { job, isNew: true };
    }
    throw new Error('a job was submitted and ended again and again');
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

  /**
   * Tells where a job is, unless it has ended or was started anew since.
   * @returns whether it was told
   */
  async report(
    id: number,
    attempt: number,
    facts: { readonly phase?: string; readonly progress?: JobRow['progress']; readonly result?: JobRow['result'] },
    now: Date,
  ): Promise<boolean> {
    const startedAt = sql`coalesce(${jobs.startedAt}, ${now.toISOString()}::timestamptz)`;
    const set = { ...given(facts), startedAt, updatedAt: now };
    return (await asked(this.db.update(jobs).set(set).where(runs(id, attempt)).returning({ id: jobs.id }))).length > 0;
  }

  /**
   * Ends a job, once: what a second worker, or an earlier attempt, says of it is ignored.
   * @returns the job as it ended, undefined when it had ended before
   */
  async finish(
    id: number,
    attempt: number,
    end: {
      readonly state: 'SUCCESS' | 'FAILURE';
      readonly phase?: string;
      readonly result?: JobRow['result'];
      readonly progress?: JobRow['progress'];
      readonly error?: string | null;
    },
    now: Date,
  ): Promise<JobRow | undefined> {
    const set = { phase: end.state, ...given(end), finishedAt: now, updatedAt: now };
    const [row] = await asked(this.db.update(jobs).set(set).where(runs(id, attempt)).returning());
    return row;
  }

  /** Asks a pending job to end. @returns whether there was something to end */
  async requestCancel(id: number, now: Date): Promise<boolean> {
    const set = {
      cancelRequestedAt: sql`coalesce(${jobs.cancelRequestedAt}, ${now.toISOString()}::timestamptz)`,
      updatedAt: now,
    };
    const isPending = and(eq(jobs.id, id), eq(jobs.state, 'PENDING'));
    return (await asked(this.db.update(jobs).set(set).where(isPending).returning({ id: jobs.id }))).length > 0;
  }

  /**
   * Lets a job that failed begin anew, as its next attempt.
   * @returns undefined when it has not failed
   * @throws {AlreadyExistsError} the same was asked for since, and is pending
   */
  async startAnew(id: number, deadlineAt: Date | null, now: Date): Promise<JobRow | undefined> {
    const set = {
      ...({ state: 'PENDING', phase: 'PENDING' } as const),
      ...{ attempt: sql`${jobs.attempt} + 1`, deadlineAt, updatedAt: now },
      ...{ error: null, startedAt: null, finishedAt: null, cancelRequestedAt: null },
    };
    const hasFailed = and(eq(jobs.id, id), eq(jobs.state, 'FAILURE'));
    const [row] = await asked(this.db.update(jobs).set(set).where(hasFailed).returning());
    return row;
  }

  /** Pending jobs of which nothing was heard since, the longest silent first. */
  async silentSince(deadline: Date, limit: number): Promise<JobRow[]> {
    const isSilent = and(eq(jobs.state, 'PENDING'), lte(jobs.updatedAt, deadline));
    return await asked(this.db.select().from(jobs).where(isSilent).orderBy(jobs.updatedAt).limit(limit));
  }

  /** How many jobs are pending, and since when the oldest of them. */
  async pending(): Promise<{ readonly count: number; readonly oldestAt: Date | undefined }> {
    const [row] = await asked(
      this.db
        .select({ count: count(), oldestAt: min(jobs.createdAt) })
        .from(jobs)
        .where(eq(jobs.state, 'PENDING')),
    );
    return { count: row?.count ?? 0, oldestAt: row?.oldestAt ?? undefined };
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

  async #known(
    { dedupKey, idempotencyKey }: Pick<SubmittedValues, 'dedupKey' | 'idempotencyKey'>,
    now: Date,
  ): Promise<JobRow | undefined> {
    const columns = getTableColumns(jobs);
    if (idempotencyKey !== null) {
      const isIt = eq(jobs.idempotencyKey, idempotencyKey);
      const since = new Date(now.getTime() - KEY_LASTS_MS);
      const [same] = await asked(
        this.db
          .select(columns)
          .from(jobs)
          .where(and(isIt, gt(jobs.createdAt, since))),
      );
      if (same !== undefined) return same;
      await asked(
        this.db
          .update(jobs)
          .set({ idempotencyKey: null })
          .where(and(isIt, lte(jobs.createdAt, since))),
      );
    }
    if (dedupKey === null) return undefined;
    const isPending = and(eq(jobs.dedupKey, dedupKey), eq(jobs.state, 'PENDING'));
    const [same] = await asked(this.db.select(columns).from(jobs).where(isPending));
    return same;
  }
}

const runs = (id: number, attempt: number) =>
  and(eq(jobs.id, id), eq(jobs.attempt, attempt), eq(jobs.state, 'PENDING'));
