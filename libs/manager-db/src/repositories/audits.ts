import { inArray, lt } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { audits } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import type { Page, Paged } from './page.ts';
import type { AuditRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type AuditValues = Pick<
  AuditRow,
  'actorType' | 'actorName' | 'operation' | 'operatedAt' | 'state' | 'path' | 'statusCode' | 'detail'
>;
export type AuditFilter = {
  readonly [K in keyof Omit<AuditValues, 'operatedAt' | 'detail'>]?: AuditValues[K] | undefined;
} & { readonly eventType?: string | undefined };

export class AuditRepository extends TableRepository<typeof audits> {
  constructor(db: Db) {
    super(db, audits, 'audit');
  }

  page(filter: AuditFilter, page: Page): Promise<Paged<AuditRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  /** Writes down what happened, in order; at most some thousands at a time. */
  async add(entries: readonly AuditValues[], now: Date): Promise<void> {
    if (entries.length === 0) return;
    await asked(this.db.insert(audits).values(entries.map((entry) => ({ ...entry, createdAt: now, updatedAt: now }))));
  }

  /** Removes what is older; returns how many, at most `limit`. */
  async removeBefore(deadline: Date, limit: number): Promise<number> {
    const old = this.db.select({ id: audits.id }).from(audits).where(lt(audits.createdAt, deadline)).limit(limit);
    return (await asked(this.db.delete(audits).where(inArray(audits.id, old)).returning({ id: audits.id }))).length;
  }
}
