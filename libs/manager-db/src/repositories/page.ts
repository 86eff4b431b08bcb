import type { SQL } from 'drizzle-orm';
import { count } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import type { Db } from '../open-database.ts';

/** A part of a list, counted from its first row. */
export interface Page {
  readonly offset: number;
  readonly limit: number;
}

export interface Paged<T> {
  readonly rows: readonly T[];
  /** Of the whole list. */
  readonly total: number;
}

/** What a filter names; `undefined` filters nothing. */
export type Filter<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** The rows of a table that a condition holds for. */
export async function countRows(db: Db, table: PgTable, where: SQL | undefined): Promise<number> {
  const [row] = await db.select({ total: count() }).from(table).where(where);
  return row?.total ?? 0;
}
