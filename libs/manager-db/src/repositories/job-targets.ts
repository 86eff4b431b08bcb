import { and, eq, sql } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { jobTargets } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { equals } from './conditions.ts';
import { fromNewRow } from './from-new-row.ts';
import type { LayerKey } from './job-layers.ts';
import type { Page, Paged } from './page.ts';
import { countRows } from './page.ts';
import type { JobTargetRow } from './rows.ts';

/** Statements have 65,535 parameters at most; a target takes 12. */
const BATCH = 2_000;

export class JobTargetRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Writes down how hosts fare; each of them once. A host that succeeded stays so, whatever a later look says of it.
   * @throws {ReferenceNotFoundError} the layer is not there, or no more
   */
  async record(targets: readonly JobTargetRow[]): Promise<void> {
    const { jobId, schedulerClusterId, taskId, hostId } = jobTargets;
    for (let start = 0; start < targets.length; start += BATCH) {
      await asked(
        this.#db
          .insert(jobTargets)
          .values(targets.slice(start, start + BATCH))
          .onConflictDoUpdate({
            target: [jobId, schedulerClusterId, taskId, hostId],
            set: FROM_NEW,
            setWhere: sql`${jobTargets.state} <> 'SUCCESS'`,
          }),
      );
    }
  }

  async ofLayer(key: LayerKey): Promise<JobTargetRow[]> {
    const { jobId, schedulerClusterId, taskId, hostId } = jobTargets;
    const is = and(...[eq(jobId, key.jobId), eq(schedulerClusterId, key.schedulerClusterId), eq(taskId, key.taskId)]);
    return await asked(this.#db.select().from(jobTargets).where(is).orderBy(hostId));
  }

  /** By cluster, task and host. */
  async page(
    filter: { readonly jobId: number; readonly state?: JobTargetRow['state'] | undefined },
    { offset, limit }: Page,
  ): Promise<Paged<JobTargetRow>> {
    const { schedulerClusterId, taskId, hostId } = jobTargets;
    const where = equals(jobTargets, filter);
    const rows = this.#db.select().from(jobTargets).where(where).orderBy(schedulerClusterId, taskId, hostId);
    const [found, total] = await Promise.all([
      asked(rows.offset(offset).limit(limit)),
      asked(countRows(this.#db, jobTargets, where)),
    ]);
    return { rows: found, total };
  }
}

const FROM_NEW = fromNewRow(jobTargets, ['jobId', 'schedulerClusterId', 'taskId', 'hostId']);
