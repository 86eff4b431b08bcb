import { and, desc, eq, inArray, lt, type SQL } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { taskHistory } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { equals } from './conditions.ts';
import { fromNewRow } from './from-new-row.ts';
import type { Page, Paged } from './page.ts';
import { countRows } from './page.ts';
import type { TaskHistoryRow } from './rows.ts';

/** Statements have 65,535 parameters at most; a task takes 14. */
const BATCH = 2_000;

/** What schedulers have told of tasks. */
export class TaskHistoryRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Writes down what was seen now. A task may occur once per cluster. */
  async recordSeen(tasks: readonly Omit<TaskHistoryRow, 'firstSeenAt' | 'lastSeenAt'>[], now: Date): Promise<void> {
    for (let start = 0; start < tasks.length; start += BATCH) {
      const values = tasks.slice(start, start + BATCH).map((task) => ({ ...task, firstSeenAt: now, lastSeenAt: now }));
      await asked(
        this.#db
          .insert(taskHistory)
          .values(values)
          .onConflictDoUpdate({ target: [taskHistory.schedulerClusterId, taskHistory.taskId], set: FROM_NEW }),
      );
    }
  }

  /** Last seen first. */
  async page(
    filter: {
      readonly schedulerClusterId?: number | undefined;
      readonly state?: string | undefined;
      readonly url?: string | undefined;
    },
    { offset, limit }: Page,
  ): Promise<Paged<TaskHistoryRow>> {
    const where = equals(taskHistory, filter);
    const order = [desc(taskHistory.lastSeenAt), taskHistory.schedulerClusterId, taskHistory.taskId];
    const rows = asked(
      this.#db
        .select()
        .from(taskHistory)
        .where(where)
        .orderBy(...order)
        .offset(offset)
        .limit(limit),
    );
    const [found, total] = await Promise.all([rows, asked(countRows(this.#db, taskHistory, where))]);
    return { rows: found, total };
  }

  /** Removes what nobody has told of since; returns how many, at most `limit`. */
  async removeUnseen(since: Date, limit: number): Promise<number> {
    const unseen = this.#db.select(KEY).from(taskHistory).where(lt(taskHistory.lastSeenAt, since)).limit(limit);
    return await this.#remove(await asked(unseen), lt(taskHistory.lastSeenAt, since));
  }

  /** Removes what was seen longest ago, but for the last `keep`; returns how many, at most `limit`. */
  async removeBeyond(keep: number, limit: number): Promise<number> {
    const beyond = this.#db
      .select(KEY)
      .from(taskHistory)
      .orderBy(desc(taskHistory.lastSeenAt))
      .offset(keep)
      .limit(limit);
    return await this.#remove(await asked(beyond), undefined);
  }

  /** @param condition what must still be true of them */
  async #remove(
    tasks: readonly { readonly schedulerClusterId: number; readonly taskId: string }[],
    condition: SQL | undefined,
  ): Promise<number> {
    const { schedulerClusterId, taskId } = taskHistory;
    let removed = 0;
    for (const [clusterId, those] of Map.groupBy(tasks, (task) => task.schedulerClusterId)) {
      const ids = those.map((task) => task.taskId);
      const is = and(eq(schedulerClusterId, clusterId), inArray(taskId, ids), condition);
      removed += (await asked(this.#db.delete(taskHistory).where(is).returning({ taskId }))).length;
    }
    return removed;
  }
}

const KEY = { schedulerClusterId: taskHistory.schedulerClusterId, taskId: taskHistory.taskId };
const FROM_NEW = fromNewRow(taskHistory, ['schedulerClusterId', 'taskId', 'firstSeenAt']);
