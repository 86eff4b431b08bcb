import { isNotNull } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { applications } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { ApplicationRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type ApplicationValues = Pick<ApplicationRow, 'name' | 'url' | 'bio' | 'priority' | 'userId'>;

export class ApplicationRepository extends TableRepository<typeof applications> {
  constructor(db: Db) {
    super(db, applications, 'application');
  }

  page(
    filter: { readonly name?: string | undefined; readonly userId?: number | undefined },
    page: Page,
  ): Promise<Paged<ApplicationRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  /** Those that have a priority: what schedulers ask for. */
  async withPriority(): Promise<ApplicationRow[]> {
    const rows = this.db.select().from(applications).where(isNotNull(applications.priority)).orderBy(applications.id);
    return await asked(rows);
  }

  /** @throws {AlreadyExistsError} {@link ReferenceNotFoundError} no such user */
  create(values: ApplicationValues, now: Date): Promise<ApplicationRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} {@link ReferenceNotFoundError} */
  update(id: number, change: Partial<ApplicationValues>, now: Date): Promise<ApplicationRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }
}
