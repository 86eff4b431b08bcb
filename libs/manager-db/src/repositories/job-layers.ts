import { and, eq, sql } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { jobLayers, jobTargets } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { JobLayerRow } from './rows.ts';

/** One layer of one job in one cluster. */
export interface LayerKey {
  readonly jobId: number;
  readonly schedulerClusterId: number;
  readonly taskId: string;
}

export type LayerValues = Pick<
  JobLayerRow,
  'jobId' | 'schedulerClusterId' | 'taskId' | 'url' | 'digest' | 'mediaType' | 'bytes' | 'platforms'
>;

/** How far a job is. */
export interface JobCounts {
  readonly layers: { readonly total: number; readonly done: number; readonly failed: number };
  readonly targets: { readonly total: number; readonly done: number; readonly failed: number; readonly bytes: number };
}

/** Statements have 65,535 parameters at most; a layer takes 8. */
const BATCH = 5_000;

export class JobLayerRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Writes down what a job has to bring where; what is known of a layer already stays. */
  async add(layers: readonly LayerValues[]): Promise<void> {
    for (let start = 0; start < layers.length; start += BATCH)
      await asked(
        this.#db
          .insert(jobLayers)
          .values(layers.slice(start, start + BATCH))
          .onConflictDoNothing(),
      );
  }

  async find(key: LayerKey): Promise<JobLayerRow | undefined> {
    const [row] = await asked(this.#db.select().from(jobLayers).where(is(key)));
    return row;
  }

  /** By cluster, then by task. */
  async ofJob(jobId: number): Promise<JobLayerRow[]> {
    const { schedulerClusterId, taskId } = jobLayers;
    const rows = this.#db.select().from(jobLayers).where(eq(jobLayers.jobId, jobId));
    return await asked(rows.orderBy(schedulerClusterId, taskId));
  }

  /** A layer is worked on, once more. A layer that succeeded stays as it is. @returns whether there is something to do */
  async start(key: LayerKey, now: Date): Promise<boolean> {
    const set = {
      state: 'STARTED',
      attempts: sql`${jobLayers.attempts} + 1`,
      startedAt: now,
      finishedAt: null,
      error: null,
    } as const;
    const isOpen = and(is(key), sql`${jobLayers.state} <> 'SUCCESS'`);
    return (
      (await asked(this.#db.update(jobLayers).set(set).where(isOpen).returning({ jobId: jobLayers.jobId }))).length > 0
    );
  }

  async end(
    key: LayerKey,
    end: { readonly state: JobLayerRow['state']; readonly error?: string | null; readonly bytes?: number },
    now: Date,
  ): Promise<void> {
    const set = { error: null, ...given(end), finishedAt: now };
    await asked(this.#db.update(jobLayers).set(set).where(is(key)));
  }

  /** Puts what has not succeeded back to the beginning, for the next attempt of the job. Targets that succeeded stay. */
  async reopen(jobId: number): Promise<void> {
    const set = { state: 'PENDING', error: null, startedAt: null, finishedAt: null } as const;
    for (const table of [jobLayers, jobTargets] as const)
      await asked(
        this.#db
          .update(table)
          .set(set)
          .where(and(eq(table.jobId, jobId), sql`${table.state} <> 'SUCCESS'`)),
      );
  }

  async counts(jobId: number): Promise<JobCounts> {
    const stateIs = (table: typeof jobLayers | typeof jobTargets, states: string) =>
      sql<number>`count(*) filter (where ${table.state} in (${sql.raw(states)}))::int`;
    const [layers, targets] = await Promise.all([
      asked(
        this.#db
          .select({
            total: sql<number>`count(*)::int`,
            done: stateIs(jobLayers, `'SUCCESS'`),
            failed: stateIs(jobLayers, `'FAILURE', 'CANCELLED'`),
          })
          .from(jobLayers)
          .where(eq(jobLayers.jobId, jobId)),
      ),
      asked(
        this.#db
          .select({
            total: sql<number>`count(*)::int`,
            done: stateIs(jobTargets, `'SUCCESS'`),
            failed: stateIs(jobTargets, `'FAILURE', 'CANCELLED'`),
            bytes: sql`coalesce(sum(${jobTargets.bytes}), 0)`.mapWith(Number),
          })
          .from(jobTargets)
          .where(eq(jobTargets.jobId, jobId)),
      ),
    ]);
    const none = { total: 0, done: 0, failed: 0 };
    return { layers: layers[0] ?? none, targets: targets[0] ?? { ...none, bytes: 0 } };
  }
}

const is = ({ jobId, schedulerClusterId, taskId }: LayerKey) =>
  and(eq(jobLayers.jobId, jobId), eq(jobLayers.schedulerClusterId, schedulerClusterId), eq(jobLayers.taskId, taskId));
