import { and, asc, count, desc, eq, inArray, sql } from 'drizzle-orm';
import type { Database } from '../open-database.ts';
import { jobLayers, jobs, jobSchedulerClusters, jobSecrets, jobTargets, schedulers } from '../schema/index.ts';
import type { JsonObject } from '../schema/documents.ts';
import { schedulerClusters } from '../schema/scheduler-cluster.ts';
import { asked } from '../translate-error.ts';

/** A job to be worked on. */
export interface WantedJob {
  readonly id: number;
  readonly attempt: number;
  readonly groupId: string;
  readonly type: string;
  readonly args: JsonObject;
  readonly createdAt: Date;
  readonly deadlineAt: Date | null;
  /** Sealed credentials, with the job's id; null where there are none. */
  readonly sealed: string | null;
  readonly clusterIds: readonly number[];
}

export type JobLayer = typeof jobLayers.$inferSelect;
export type JobTarget = typeof jobTargets.$inferSelect;

export interface NewLayer {
  readonly schedulerClusterId: number;
  readonly taskId: string;
  readonly url: string;
  readonly digest: string;
  readonly bytes: number | undefined;
  readonly platforms: readonly string[];
}

/** Names one layer of a job in one cluster. */
export interface LayerName {
  readonly jobId: number;
  readonly clusterId: number;
  readonly taskId: string;
}

export interface NewTarget {
  readonly hostId: string;
  readonly hostname: string;
  readonly ip: string;
}

/** Where a scheduler is. */
export interface SchedulerAddress {
  readonly ip: string;
  readonly port: number;
}

/** Schedulers that are asked where none was heard of lately. */
const MAX_SILENT = 16;
/** Rows of one statement. */
const CHUNK = 1_000;

/** Jobs as workers see them: what to do, and what has been done. Nothing is written for a job, or an attempt, that has ended. */
export class JobWork {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** @returns undefined when nobody wants this attempt any more */
  async wanted(id: number, attempt: number): Promise<WantedJob | undefined> {
    const { db } = this.#database;
    const [row] = await asked(
      db
        .select({ job: jobs, sealed: jobSecrets.sealed })
        .from(jobs)
        .leftJoin(jobSecrets, eq(jobSecrets.jobId, jobs.id))
        .where(this.#isWanted(id, attempt)),
    );
    if (row === undefined) return undefined;
    const links = await asked(
      db
        .select({ id: jobSchedulerClusters.schedulerClusterId })
        .from(jobSchedulerClusters)
        .where(eq(jobSchedulerClusters.jobId, id))
        .orderBy(asc(jobSchedulerClusters.schedulerClusterId)),
    );
    const { taskId: groupId, type, args, createdAt, deadlineAt } = row.job;
    return {
      ...{ id, attempt, groupId, type, args, createdAt, deadlineAt },
      sealed: row.sealed,
      clusterIds: links.map((one) => one.id),
    };
  }

  /** Those of the jobs that somebody still wants. */
  async stillWanted(ids: readonly number[]): Promise<ReadonlySet<number>> {
    if (ids.length === 0) return new Set();
    const rows = await asked(
      this.#database.db
        .select({ id: jobs.id })
        .from(jobs)
        .where(and(inArray(jobs.id, [...ids]), eq(jobs.state, 'PENDING'))),
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Says how far a job is. */
  async note(
    id: number,
    attempt: number,
    change: { readonly phase?: string; readonly progress?: JsonObject; readonly result?: JsonObject },
    now: Date,
  ): Promise<void> {
    await asked(
      this.#database.db
        .update(jobs)
        .set({
          ...change,
          updatedAt: now,
          startedAt: sql`coalesce(${jobs.startedAt}, ${now.toISOString()}::timestamptz)`,
        })
        .where(this.#isWanted(id, attempt)),
    );
  }

  /** Writes down what a job is made of, once. */
  async plan(id: number, layers: readonly NewLayer[]): Promise<void> {
    await this.#database.transaction(async (tx) => {
      // Two workers that plan at the same time plan one after the other, and the second finds it done.
      await tx.select({ id: jobs.id }).from(jobs).where(eq(jobs.id, id)).for('update');
      const [there] = await tx.select({ number: count() }).from(jobLayers).where(eq(jobLayers.jobId, id));
      if ((there?.number ?? 0) > 0) return;
      for (let from = 0; from < layers.length; from += CHUNK) {
        const rows = layers.slice(from, from + CHUNK).map(({ bytes, platforms, ...layer }) => ({
          ...layer,
          ...{ jobId: id, platforms: [...platforms], bytes: bytes ?? null },
        }));
        await tx.insert(jobLayers).values(rows).onConflictDoNothing();
      }
    });
  }

  /** The layers of a job, the largest of each cluster first. */
  async layers(id: number, clusterId?: number): Promise<readonly JobLayer[]> {
    return await asked(
      this.#database.db
        .select()
        .from(jobLayers)
        .where(
          and(
            eq(jobLayers.jobId, id),
            clusterId === undefined ? undefined : eq(jobLayers.schedulerClusterId, clusterId),
          ),
        )
        .orderBy(asc(jobLayers.schedulerClusterId), sql`${jobLayers.bytes} desc nulls last`, asc(jobLayers.taskId)),
    );
  }

  /** Takes layers whose turn it is, the largest first: nobody else gets them. */
  async claim(id: number, clusterId: number, most: number): Promise<readonly JobLayer[]> {
    if (most <= 0) return [];
    return await this.#database.transaction(async (tx) => {
      const next = await tx
        .select({ taskId: jobLayers.taskId })
        .from(jobLayers)
        .where(
          and(eq(jobLayers.jobId, id), eq(jobLayers.schedulerClusterId, clusterId), eq(jobLayers.state, 'PENDING')),
        )
        .orderBy(sql`${jobLayers.bytes} desc nulls last`, asc(jobLayers.taskId))
        .limit(most)
        .for('update', { skipLocked: true });
      if (next.length === 0) return [];
      const taskIds = next.map(({ taskId }) => taskId);
      return await tx
        .update(jobLayers)
        .set({ state: 'STARTED' })
        .where(
          and(eq(jobLayers.jobId, id), eq(jobLayers.schedulerClusterId, clusterId), inArray(jobLayers.taskId, taskIds)),
        )
        .returning();
    });
  }

  async layer({ jobId, clusterId, taskId }: LayerName): Promise<JobLayer | undefined> {
    const [row] = await asked(
      this.#database.db
        .select()
        .from(jobLayers)
        .where(
          and(eq(jobLayers.jobId, jobId), eq(jobLayers.schedulerClusterId, clusterId), eq(jobLayers.taskId, taskId)),
        ),
    );
    return row;
  }

  async setLayer(
    { jobId, clusterId, taskId }: LayerName,
    change: Partial<Pick<JobLayer, 'state' | 'attempts' | 'error' | 'startedAt' | 'finishedAt'>>,
  ): Promise<void> {
    await asked(
      this.#database.db
        .update(jobLayers)
        .set(change)
        .where(
          and(eq(jobLayers.jobId, jobId), eq(jobLayers.schedulerClusterId, clusterId), eq(jobLayers.taskId, taskId)),
        ),
    );
  }

  /** Writes down which hosts are to have a layer; those that are there already stay as they are. */
  async addTargets({ jobId, clusterId, taskId }: LayerName, targets: readonly NewTarget[]): Promise<void> {
    for (let from = 0; from < targets.length; from += CHUNK) {
      const rows = targets
        .slice(from, from + CHUNK)
        .map((target) => ({ ...target, jobId, taskId, schedulerClusterId: clusterId }));
      await asked(this.#database.db.insert(jobTargets).values(rows).onConflictDoNothing());
    }
  }

  async targets(jobId: number, layer?: LayerName): Promise<readonly JobTarget[]> {
    return await asked(
      this.#database.db
        .select()
        .from(jobTargets)
        .where(
          layer === undefined
            ? eq(jobTargets.jobId, jobId)
            : and(
                eq(jobTargets.jobId, jobId),
                eq(jobTargets.schedulerClusterId, layer.clusterId),
                eq(jobTargets.taskId, layer.taskId),
              ),
        )
        .orderBy(asc(jobTargets.schedulerClusterId), asc(jobTargets.hostId), asc(jobTargets.taskId)),
    );
  }

  async setTarget(
    { jobId, clusterId, taskId }: LayerName,
    hostId: string,
    change: Partial<Pick<JobTarget, 'state' | 'attempts' | 'error' | 'bytes' | 'startedAt' | 'finishedAt'>>,
  ): Promise<void> {
    await asked(
      this.#database.db
        .update(jobTargets)
        .set(change)
        .where(
          and(
            eq(jobTargets.jobId, jobId),
            eq(jobTargets.schedulerClusterId, clusterId),
            eq(jobTargets.taskId, taskId),
            eq(jobTargets.hostId, hostId),
          ),
        ),
    );
  }

  /** Hosts that turned out not to be needed. */
  async dropTarget({ jobId, clusterId, taskId }: LayerName, hostId: string): Promise<void> {
    await asked(
      this.#database.db
        .delete(jobTargets)
        .where(
          and(
            eq(jobTargets.jobId, jobId),
            eq(jobTargets.schedulerClusterId, clusterId),
            eq(jobTargets.taskId, taskId),
            eq(jobTargets.hostId, hostId),
          ),
        ),
    );
  }

  /** Counts for people who wait. */
  async progress(jobId: number): Promise<JsonObject> {
    const { db } = this.#database;
    const done = (state: typeof jobLayers.state | typeof jobTargets.state) =>
      sql<number>`(count(*) filter (where ${state} = 'SUCCESS'))::int`;
    const [layers] = await asked(
      db
        .select({ total: count(), done: done(jobLayers.state) })
        .from(jobLayers)
        .where(eq(jobLayers.jobId, jobId)),
    );
    const hosts = await asked(
      db
        .select({ all: sql<boolean>`bool_and(${jobTargets.state} = 'SUCCESS')` })
        .from(jobTargets)
        .where(eq(jobTargets.jobId, jobId))
        .groupBy(jobTargets.schedulerClusterId, jobTargets.hostId),
    );
    return {
      ...{ layers_total: layers?.total ?? 0, layers_done: layers?.done ?? 0 },
      ...{ peers_total: hosts.length, peers_done: hosts.filter(({ all }) => all).length },
    };
  }

  /** Clusters that there are. */
  async clusterIds(): Promise<readonly number[]> {
    const rows = await asked(
      this.#database.db.select({ id: schedulerClusters.id }).from(schedulerClusters).orderBy(asc(schedulerClusters.id)),
    );
    return rows.map(({ id }) => id);
  }

  /**
   * Schedulers of a cluster that were heard of lately, those that preheat first. Where none was, those that were last: managers that are
   * away hear of nobody, and whoever is asked answers for himself.
   */
  async schedulers(clusterId: number, now: Date): Promise<readonly SchedulerAddress[]> {
    const { ip, port, activeUntil, features, id } = schedulers;
    const rows = await asked(
      this.#database.db
        .select({ ip, port, activeUntil })
        .from(schedulers)
        .where(eq(schedulers.schedulerClusterId, clusterId))
        .orderBy(desc(sql`'preheat' = any(${features})`), sql`${activeUntil} desc nulls last`, asc(id)),
    );
    const lastHeardOf = (row: (typeof rows)[number]): number => row.activeUntil?.getTime() ?? 0;
    const active = rows.filter((row) => lastHeardOf(row) > now.getTime());
    const silent = rows.toSorted((a, b) => lastHeardOf(b) - lastHeardOf(a)).slice(0, MAX_SILENT);
    return (active.length > 0 ? active : silent).map((row) => ({ ip: row.ip, port: row.port }));
  }

  #isWanted(id: number, attempt: number) {
    return and(eq(jobs.id, id), eq(jobs.attempt, attempt), eq(jobs.state, 'PENDING'));
  }
}
