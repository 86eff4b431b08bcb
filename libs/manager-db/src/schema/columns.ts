import { bigint, integer, timestamp, varchar } from 'drizzle-orm/pg-core';

/** Identifiers count from 1; REST shows them as JSON numbers, so they stay below 2^53. */
export const identity = () => bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity();
/** The id of a row in another table. */
export const reference = (name: string) => bigint(name, { mode: 'number' });
/** A moment, without regard to time zones, to the millisecond. */
export const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' });
/** When a row was made and last changed. Whoever writes passes the time; the default serves rows made by hand. */
export const times = () => ({
  createdAt: moment('created_at').notNull().defaultNow(),
  updatedAt: moment('updated_at').notNull().defaultNow(),
});
/** A name of up to 256 characters. */
export const name = (column = 'name') => varchar(column, { length: 256 });
/** A text that may be missing in requests and is then empty. */
export const text1024 = (column: string) => varchar(column, { length: 1024 }).notNull().default('');
export const portNumber = (column: string) => integer(column).notNull();
