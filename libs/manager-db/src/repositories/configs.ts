import { eq } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { configs } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { ConfigRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type ConfigValues = Pick<ConfigRow, 'name' | 'value' | 'bio' | 'userId'>;

export class ConfigRepository extends TableRepository<typeof configs> {
  constructor(db: Db) {
    super(db, configs, 'config');
  }

  page(
    filter: {
      readonly name?: string | undefined;
      readonly value?: string | undefined;
      readonly userId?: number | undefined;
    },
    page: Page,
  ): Promise<Paged<ConfigRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  async findByName(name: string): Promise<ConfigRow | undefined> {
    const [row] = await asked(this.db.select().from(configs).where(eq(configs.name, name)));
    return row;
  }

  /** @throws {AlreadyExistsError} {@link ReferenceNotFoundError} no such user */
  create(values: ConfigValues, now: Date): Promise<ConfigRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} {@link ReferenceNotFoundError} */
  update(id: number, change: Partial<ConfigValues>, now: Date): Promise<ConfigRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }
}
