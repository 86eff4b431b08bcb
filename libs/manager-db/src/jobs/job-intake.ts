import { and, asc, eq, inArray, lt, lte, ne, or, sql } from 'drizzle-orm';
import { NotFoundError } from '../errors.ts';
import type { Database, Db } from '../open-database.ts';
import {
  jobLayers,
  jobOutbox,
  jobs,
  jobSchedulerClusters,
  jobSecrets,
  jobSeedPeerClusters,
  jobTargets,
} from '../schema/index.ts';
import { schedulerClusters } from '../schema/scheduler-cluster.ts';
import type { JsonObject } from '../schema/documents.ts';
import { asked } from '../translate-error.ts';

/** A job to be written down. */
export interface NewJob {
  /** `group_<uuid>`. */
  readonly groupId: string;
  readonly type: string;
  readonly bio: string;
  readonly userId: number | undefined;
  /** Without credentials. */
  readonly args: JsonObject;
  /** None: all that there are. */
  readonly clusterIds: readonly number[];
  readonly seedPeerClusterIds: readonly number[];
  readonly dedupKey: string;
  readonly idempotencyKey: string | undefined;
  readonly traceparent: string | undefined;
  readonly now: Date;
  readonly deadlineAt: Date;
  /** Makes the sealed credentials of the job that has this id; none where there are no credentials. */
  readonly seal: ((jobId: number) => string) | undefined;
  readonly secretExpiresAt: Date;
}

export type Intake =
  | { readonly kind: 'accepted' | 'duplicate'; readonly id: number }
  | { readonly kind: 'unknownCluster'; readonly clusterId: number }
  | { readonly kind: 'noCluster' }
  /** More jobs of this second than a cluster takes. */
  | { readonly kind: 'limited'; readonly clusterId: number };

/** What the queue has yet to be told. */
export interface OutboxEntry {
  readonly id: number;
  readonly jobId: number;
  readonly kind: 'enqueue' | 'cancel';
  readonly attempts: number;
  readonly type: string;
  readonly attempt: number;
  readonly traceparent: string | null;
}

/** A job that has not ended, as the reconciler sees it. */
export interface PendingJob {
  readonly id: number;
  readonly type: string;
  readonly attempt: number;
  readonly traceparent: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly deadlineAt: Date | null;
  /** The queue has not been told of it yet. */
  readonly isInOutbox: boolean;
}

/** How a job ended. */
export interface JobEnd {
  readonly state: 'SUCCESS' | 'FAILURE';
  readonly phase: 'SUCCESS' | 'FAILURE' | 'CANCELLED';
  readonly error: string | undefined;
  readonly now: Date;
  /** Its result, where nobody has written one. */
  readonly result: (job: {
    readonly groupId: string;
    readonly type: string;
    readonly createdAt: Date;
    readonly clusterIds: readonly number[];
  }) => JsonObject;
}

const DAY_MS = 86_400_000;
const RATE_WINDOW_MS = 1_000;
/** Of one sweep. */
const BATCH = 100;
/** Any number, the same in all managers: whoever holds it sweeps. */
const SWEEP_LOCK = 7_340_071;

/** Jobs as managers write them down: what was asked for, what the queue has to hear, how it ended. States go forward only. */
export class JobIntake {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Writes a job, its clusters, its credentials and the message to the queue in one transaction; or says why not. A cluster never takes more than its rate, whoever asks at once. */
  async accept(job: NewJob): Promise<Intake> {
    const { now, idempotencyKey } = job;
    return await this.#database.transaction(async (tx) => {
      if (idempotencyKey !== undefined)
        await tx
          .update(jobs)
          .set({ idempotencyKey: null })
          .where(and(eq(jobs.idempotencyKey, idempotencyKey), lt(jobs.createdAt, new Date(now.getTime() - DAY_MS))));
      await takeTurns(tx, job.clusterIds);
      const earlier = await duplicateOf(tx, job);
      if (earlier !== undefined) return { kind: 'duplicate', id: earlier };
      const clusters = await clustersOf(tx, job);
      if ('kind' in clusters) return clusters;
      const full = clusters.find(({ limit, recent }) => limit !== null && recent >= limit);
      if (full !== undefined) return { kind: 'limited', clusterId: full.id };
      const [row] = await tx
        .insert(jobs)
        .values({
          ...{ taskId: job.groupId, type: job.type, bio: job.bio, args: job.args, dedupKey: job.dedupKey },
          ...{ createdAt: now, updatedAt: now, deadlineAt: job.deadlineAt },
          userId: job.userId ?? null,
          idempotencyKey: idempotencyKey ?? null,
          traceparent: job.traceparent ?? null,
        })
        .onConflictDoNothing()
        .returning({ id: jobs.id });
      if (row === undefined) {
        // Somebody was quicker with the same request.
        const winner = await duplicateOf(tx, job);
        if (winner === undefined) throw new NotFoundError('job', job.dedupKey);
        return { kind: 'duplicate', id: winner };
      }
      const { id } = row;
      await tx.insert(jobSchedulerClusters).values(clusters.map((one) => ({ jobId: id, schedulerClusterId: one.id })));
      if (job.seedPeerClusterIds.length > 0)
        await tx
          .insert(jobSeedPeerClusters)
          .values([...new Set(job.seedPeerClusterIds)].map((seedPeerClusterId) => ({ jobId: id, seedPeerClusterId })));
      if (job.seal !== undefined)
        await tx.insert(jobSecrets).values({ jobId: id, sealed: job.seal(id), expiresAt: job.secretExpiresAt });
      await tx.insert(jobOutbox).values({ jobId: id, kind: 'enqueue', createdAt: now, dueAt: now });
      return { kind: 'accepted', id };
    });
  }

  /**
   * Tells the queue what it has not heard yet, one manager at a time. What is told stays told at least once: an entry goes when `tell` has
   * returned, and comes again later when that failed.
   * @returns how many were told; undefined when another manager is at it
   */
  async sweep(tell: (entry: OutboxEntry) => Promise<void>, now: Date): Promise<number | undefined> {
    return await this.#database.transaction(async (tx) => {
      const [lock] = await tx
        .select({ isOurs: sql<boolean>`pg_try_advisory_xact_lock(${SWEEP_LOCK})` })
        .from(sql`(select 1) as once`);
      if (lock?.isOurs !== true) return undefined;
      const due = await entries(tx, lte(jobOutbox.dueAt, now));
      let told = 0;
      for (const entry of due) {
        try {
          await tell(entry);
        } catch (error) {
          const waitMs = Math.min(1_000 * 2 ** Math.min(entry.attempts, 5), 30_000);
          await tx
            .update(jobOutbox)
            .set({
              attempts: entry.attempts + 1,
              dueAt: new Date(now.getTime() + waitMs),
              lastError: error instanceof Error ? error.message.slice(0, 1_000) : '',
            })
            .where(eq(jobOutbox.id, entry.id));
          // The queue is away: the others would wait in vain.
          break;
        }
        await tx.delete(jobOutbox).where(eq(jobOutbox.id, entry.id));
        told++;
      }
      return told;
    });
  }

  /** Has the queue told once more of a job that it lost. */
  async tellAgain(id: number, now: Date): Promise<void> {
    await asked(this.#database.db.insert(jobOutbox).values({ jobId: id, kind: 'enqueue', createdAt: now, dueAt: now }));
  }

  /** Jobs that have not ended, those that nothing was heard of for longest first. @param ids only these */
  async pending(options: { readonly ids?: readonly number[]; readonly limit?: number } = {}): Promise<PendingJob[]> {
    const { ids, limit = 1_000 } = options;
    if (ids?.length === 0) return [];
    // With names in full: of one table alone they would be written without it, and mean the inner one.
    const isInOutbox = sql<boolean>`exists (select 1 from job_outbox where job_outbox.job_id = job.id and job_outbox.kind = 'enqueue')`;
    const { id, type, attempt, traceparent, createdAt, updatedAt, deadlineAt } = jobs;
    return await asked(
      this.#database.db
        .select({ id, type, attempt, traceparent, createdAt, updatedAt, deadlineAt, isInOutbox })
        .from(jobs)
        .where(and(eq(jobs.state, 'PENDING'), ids === undefined ? undefined : inArray(jobs.id, [...ids])))
        .orderBy(asc(jobs.updatedAt))
        .limit(limit),
    );
  }

  /** Ends a job that is pending. @param attempt only if it is still this one @returns whether it was */
  async end(id: number, end: JobEnd, attempt?: number): Promise<boolean> {
    return await this.#database.transaction(async (tx) => {
      const [row] = await tx
        .update(jobs)
        .set({
          ...{ state: end.state, phase: end.phase, error: end.error ?? null, finishedAt: end.now, updatedAt: end.now },
          ...(end.phase === 'CANCELLED' && { cancelRequestedAt: end.now }),
        })
        .where(
          and(
            eq(jobs.id, id),
            eq(jobs.state, 'PENDING'),
            attempt === undefined ? undefined : eq(jobs.attempt, attempt),
          ),
        )
        .returning();
      if (row === undefined) return false;
      const links = await tx
        .select({ id: jobSchedulerClusters.schedulerClusterId })
        .from(jobSchedulerClusters)
        .where(eq(jobSchedulerClusters.jobId, id))
        .orderBy(asc(jobSchedulerClusters.schedulerClusterId));
      // What the worker wrote tells more, if it ends as the job does.
      if (row.result === null || row.result['state'] !== end.state) {
        const facts = {
          groupId: row.taskId,
          type: row.type,
          createdAt: row.createdAt,
          clusterIds: links.map((link) => link.id),
        };
        await tx
          .update(jobs)
          .set({ result: end.result(facts) })
          .where(eq(jobs.id, id));
      }
      if (end.state === 'SUCCESS') await tx.delete(jobSecrets).where(eq(jobSecrets.jobId, id));
      else {
        const state = end.phase === 'CANCELLED' ? 'CANCELLED' : 'FAILURE';
        const unfinished = ['PENDING', 'STARTED'] as const;
        await tx
          .update(jobTargets)
          .set({ state, finishedAt: end.now })
          .where(and(eq(jobTargets.jobId, id), inArray(jobTargets.state, unfinished)));
        await tx
          .update(jobLayers)
          .set({ state, finishedAt: end.now })
          .where(and(eq(jobLayers.jobId, id), inArray(jobLayers.state, [...unfinished, 'RETRY'])));
      }
      await tx.delete(jobOutbox).where(and(eq(jobOutbox.jobId, id), eq(jobOutbox.kind, 'enqueue')));
      if (end.phase === 'CANCELLED')
        await tx.insert(jobOutbox).values({ jobId: id, kind: 'cancel', createdAt: end.now, dueAt: end.now });
      return true;
    });
  }

  /**
   * Begins a failed job anew, with what it has not brought to its end; what succeeded stays.
   * @param needsSecret whether its arguments went with credentials
   */
  async beginAnew(
    id: number,
    {
      now,
      timeoutMs,
      needsSecret,
    }: {
      readonly now: Date;
      readonly timeoutMs: (args: JsonObject) => number;
      readonly needsSecret: (args: JsonObject) => boolean;
    },
  ): Promise<'begun' | 'unknown' | 'notFailed' | 'secretGone'> {
    return await this.#database.transaction(async (tx) => {
      const [job] = await tx.select().from(jobs).where(eq(jobs.id, id)).for('update');
      if (job === undefined) return 'unknown';
      if (job.state !== 'FAILURE') return 'notFailed';
      const [secret] = await tx
        .select({ expiresAt: jobSecrets.expiresAt })
        .from(jobSecrets)
        .where(eq(jobSecrets.jobId, id));
      if (needsSecret(job.args) && (secret === undefined || secret.expiresAt <= now)) return 'secretGone';
      const fresh = { state: 'PENDING' as const, error: null, startedAt: null, finishedAt: null };
      await tx
        .update(jobs)
        .set({
          ...{
            ...fresh,
            phase: 'RETRY',
            attempt: job.attempt + 1,
            result: null,
            cancelRequestedAt: null,
            updatedAt: now,
          },
          deadlineAt: new Date(now.getTime() + timeoutMs(job.args)),
        })
        .where(eq(jobs.id, id));
      await tx
        .update(jobLayers)
        .set({ ...fresh, attempts: 0 })
        .where(and(eq(jobLayers.jobId, id), ne(jobLayers.state, 'SUCCESS')));
      await tx
        .update(jobTargets)
        .set(fresh)
        .where(and(eq(jobTargets.jobId, id), ne(jobTargets.state, 'SUCCESS')));
      await tx.delete(jobOutbox).where(eq(jobOutbox.jobId, id));
      await tx.insert(jobOutbox).values({ jobId: id, kind: 'enqueue', createdAt: now, dueAt: now });
      return 'begun';
    });
  }

  async stateOf(id: number): Promise<'PENDING' | 'SUCCESS' | 'FAILURE' | undefined> {
    const [row] = await asked(this.#database.db.select({ state: jobs.state }).from(jobs).where(eq(jobs.id, id)));
    return row?.state;
  }

  /** Removes a job with all that belongs to it. @returns whether it was there */
  async remove(id: number): Promise<boolean> {
    const gone = await asked(this.#database.db.delete(jobs).where(eq(jobs.id, id)).returning({ id: jobs.id }));
    return gone.length > 0;
  }

  /** Removes credentials that nobody may use any more. */
  async forgetSecrets(now: Date): Promise<void> {
    await asked(this.#database.db.delete(jobSecrets).where(lte(jobSecrets.expiresAt, now)));
  }
}

/**
 * Has requests for clusters that take so many jobs a second be counted one after the other: whoever holds the rows counts and writes, the
 * next one sees that. Nothing else waits for it.
 */
async function takeTurns(tx: Db, clusterIds: readonly number[]): Promise<void> {
  const { id, config } = schedulerClusters;
  const isLimited = sql`${config} ->> 'job_rate_limit' is not null`;
  await tx
    .select({ id })
    .from(schedulerClusters)
    .where(and(isLimited, clusterIds.length === 0 ? undefined : inArray(id, [...clusterIds])))
    .orderBy(asc(id))
    .for('no key update');
}

/** A pending job for the same, or one that came with the same key. */
async function duplicateOf(tx: Db, { dedupKey, idempotencyKey }: NewJob): Promise<number | undefined> {
  const same = and(eq(jobs.dedupKey, dedupKey), eq(jobs.state, 'PENDING'));
  const [row] = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(idempotencyKey === undefined ? same : or(same, eq(jobs.idempotencyKey, idempotencyKey)))
    .orderBy(asc(jobs.id))
    .limit(1);
  return row?.id;
}

async function clustersOf(
  tx: Db,
  { clusterIds, now }: NewJob,
): Promise<Intake | readonly { readonly id: number; readonly limit: number | null; readonly recent: number }[]> {
  const wanted = [...new Set(clusterIds)].sort((a, b) => a - b);
  const since = new Date(now.getTime() - RATE_WINDOW_MS);
  const rows = await tx
    .select({
      id: schedulerClusters.id,
      limit: sql<number | null>`(${schedulerClusters.config} ->> 'job_rate_limit')::int`,
      recent: sql<number>`(
        select count(*)::int from job join job_scheduler_cluster on job_scheduler_cluster.job_id = job.id
        where job.created_at > ${since.toISOString()}::timestamptz and job_scheduler_cluster.scheduler_cluster_id = scheduler_cluster.id)`,
    })
    .from(schedulerClusters)
    .where(wanted.length === 0 ? undefined : inArray(schedulerClusters.id, wanted))
    .orderBy(asc(schedulerClusters.id));
  const unknown = wanted.find((id) => !rows.some((row) => row.id === id));
  if (unknown !== undefined) return { kind: 'unknownCluster', clusterId: unknown };
  return rows.length === 0 ? { kind: 'noCluster' } : rows;
}

async function entries(tx: Db, which: ReturnType<typeof lte>): Promise<readonly OutboxEntry[]> {
  const { id, jobId, kind, attempts } = jobOutbox;
  const { type, attempt, traceparent } = jobs;
  return await tx
    .select({ id, jobId, kind, attempts, type, attempt, traceparent })
    .from(jobOutbox)
    .innerJoin(jobs, eq(jobs.id, jobOutbox.jobId))
    .where(which)
    .orderBy(asc(jobOutbox.id))
    .limit(BATCH);
}
