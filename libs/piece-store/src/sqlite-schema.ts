import type { DatabaseSync } from 'node:sqlite';
import { StoreFormatError } from './errors.ts';

/**
 * How to get from each format to the next; the first makes an empty database. What is released is never changed again: a step is
 * added for every change after which an earlier release would misread the database.
 */
const STEPS: readonly string[] = [
  `
  create table store (name text primary key, value text not null) without rowid;
  create table task (
    key integer primary key autoincrement,
    id text not null unique,
    url text not null,
    content_length integer not null,
    piece_length integer not null,
    digest text,
    response_headers text not null,
    is_private integer not null,
    created_at_ms integer not null,
    used_at_ms integer not null,
    is_complete integer not null default 0,
    is_suspect integer not null default 0
  );
  create table piece (
    task_key integer not null,
    number integer not null,
    digest text not null,
    parent_id text,
    traffic_type integer not null,
    cost_ms integer not null,
    created_at_ms integer not null,
    primary key (task_key, number)
  ) without rowid;
  `,
  // What came from the origin, or is part of a whole that matched its digest, needs no voucher.
  `
  alter table task add column is_pinned integer not null default 0;
  alter table piece add column sha256 text;
  alter table piece add column is_verified integer not null default 0;
  update piece set is_verified = 1 where traffic_type = 0
    or task_key in (select key from task where is_complete = 1 and digest is not null);
  `,
];

/** The format this release writes. */
export const FORMAT_VERSION = STEPS.length;

/**
 * Brings a database to the format of this release.
 * @param dir for the message
 * @returns whether it was empty before
 * @throws {StoreFormatError} a later release wrote it; nothing is touched
 */
export function migrate(database: DatabaseSync, dir: string): { wasEmpty: boolean } {
  const found = Number(database.prepare('pragma user_version').get()?.['user_version']);
  if (found > FORMAT_VERSION) throw new StoreFormatError(dir, found, FORMAT_VERSION);
  for (const [version, step] of STEPS.entries()) {
    if (version < found) continue;
    database.exec(`begin immediate; ${step} pragma user_version = ${version + 1}; commit`);
  }
  return { wasEmpty: found === 0 };
}
