import type { SQL } from 'drizzle-orm';
import { desc, eq } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { NotFoundError } from '../errors.ts';
import type { Db } from '../open-database.ts';
import { asked } from '../translate-error.ts';
import { equals } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import { countRows } from './page.ts';

type EntityTable = PgTable & { readonly id: PgColumn };
type Row<T extends EntityTable> = T['$inferSelect'];

/** What all entities with an id have in common. Its subclasses know the domain. */
export abstract class TableRepository<T extends EntityTable> {
  protected readonly db: Db;
  protected readonly table: T;
  /** As in "there is no user 7". */
  protected readonly what: string;

  protected constructor(db: Db, table: T, what: string) {
    this.db = db;
    this.table = table;
    this.what = what;
  }

  /** @throws {NotFoundError} */
  async get(id: number): Promise<Row<T>> {
    const found = await this.find(id);
    if (found === undefined) throw new NotFoundError(this.what, id);
    return found;
  }

  async find(id: number): Promise<Row<T> | undefined> {
    const [row] = await asked(this.rowsWhere(eq(this.table.id, id)).limit(1));
    return row;
  }

  /** Removes it with all that belongs to it alone. @throws {NotFoundError} {@link StillInUseError} */
  async remove(id: number): Promise<void> {
    const removed = await asked(
      this.db.delete(this.table).where(eq(this.table.id, id)).returning({ id: this.table.id }),
    );
    if (removed.length === 0) throw new NotFoundError(this.what, id);
  }

  /** Newest first. */
  protected async pageOf(where: SQL | undefined, { offset, limit }: Page): Promise<Paged<Row<T>>> {
    const rows = asked(this.rowsWhere(where).orderBy(desc(this.table.id)).offset(offset).limit(limit));
    const [found, total] = await Promise.all([rows, asked(countRows(this.db, this.table, where))]);
    return { rows: found, total };
  }

  protected equals(filter: { readonly [K in keyof Row<T>]?: Row<T>[K] | undefined }): SQL | undefined {
    return equals(this.table, filter);
  }

  protected async insert(values: T['$inferInsert']): Promise<Row<T>> {
    const [row] = await asked(
      this.db
        .insert(this.table)
        .values(values as never)
        .returning(),
    );
    return row as Row<T>;
  }

  /** @throws {NotFoundError} */
  protected async change(id: number, values: Partial<T['$inferInsert']>): Promise<Row<T>> {
    const changed = this.db
      .update(this.table)
      .set(values as never)
      .where(eq(this.table.id, id))
      .returning();
    const [row] = await asked(changed as PromiseLike<Row<T>[]>);
    if (row === undefined) throw new NotFoundError(this.what, id);
    return row;
  }

  protected rowsWhere(where: SQL | undefined) {
    // Of a table that is not known yet, drizzle cannot tell the rows.
    const rows: PgTable = this.table;
    return this.db.select().from(rows).where(where).$dynamic() as unknown as DynamicSelect<Row<T>>;
  }
}

interface DynamicSelect<R> extends PromiseLike<R[]> {
  orderBy(by: SQL): this;
  offset(rows: number): this;
  limit(rows: number): this;
}
