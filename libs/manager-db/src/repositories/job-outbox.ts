import { eq, lte, sql } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { jobOutbox } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import type { JobOutboxRow } from './rows.ts';

/** Messages for the queue. They are written in the transaction that makes them necessary, so none is lost and none is sent for nothing. */
export class JobOutboxRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async add(message: Pick<JobOutboxRow, 'jobId' | 'kind' | 'payload'>, now: Date): Promise<number> {
    const values = { ...message, createdAt: now, dueAt: now };
    const [row] = await asked(this.#db.insert(jobOutbox).values(values).returning({ id: jobOutbox.id }));
    return row?.id ?? 0;
  }

  /** Messages that are due, oldest first, for the transaction in which they are sent: no other one gets them meanwhile. */
  async takeDue(now: Date, limit: number): Promise<JobOutboxRow[]> {
    const due = this.#db.select().from(jobOutbox).where(lte(jobOutbox.dueAt, now)).orderBy(jobOutbox.id).limit(limit);
    return await asked(due.for('update', { skipLocked: true }));
  }

  /** The queue has it. */
  async sent(id: number): Promise<void> {
    await asked(this.#db.delete(jobOutbox).where(eq(jobOutbox.id, id)));
  }

  /** The queue did not take it; it is due again at `dueAt`. */
  async failed(id: number, lastError: string, dueAt: Date): Promise<void> {
    const set = { attempts: sql`${jobOutbox.attempts} + 1`, lastError, dueAt };
    await asked(this.#db.update(jobOutbox).set(set).where(eq(jobOutbox.id, id)));
  }
}
