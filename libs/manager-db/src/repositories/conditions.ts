import type { SQL } from 'drizzle-orm';
import { and, eq, getTableColumns } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';

/** Every column that the filter names equals its value. */
export function equals<T extends PgTable>(
  table: T,
  filter: { readonly [K in keyof T['$inferSelect']]?: T['$inferSelect'][K] | undefined },
): SQL | undefined {
  const columns = getTableColumns(table);
  return and(
    ...Object.entries(filter).flatMap(([name, value]) => {
      const column = columns[name];
      if (value === undefined) return [];
      if (column === undefined) throw new Error(`a filter names ${name}, which is no column`);
      return [eq(column, value)];
    }),
  );
}

/** The fields of a change that are given; a field that is absent or undefined stays as it is. */
export function given<T extends object>(change: T): Partial<T> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<T>;
}
