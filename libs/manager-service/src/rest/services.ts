import type { AnswerOf, RequestOf } from '@d7y/manager-api';
import type { Database, Page, PasswordHasher } from '@d7y/manager-db';
import type { SwarmListing } from '@d7y/peer-protocol';
import type { Readiness } from '../observe/readiness.ts';
import type { Attempts } from './auth/attempts.ts';
import type { Gate } from './auth/gate.ts';
import type { CookieSettings } from './auth/session-cookies.ts';
import type { Sessions } from './auth/sessions.ts';
import type { EventStreams } from './events/event-streams.ts';
import type { Jobs } from './jobs-port.ts';

/** What handlers work with. */
export interface Services {
  readonly database: Database;
  readonly jobs: Jobs;
  readonly listing: SwarmListing;
  readonly events: EventStreams;
  readonly sessions: Sessions;
  readonly passwords: PasswordHasher;
  readonly passwordAttempts: Attempts;
  readonly gate: Gate;
  readonly cookies: CookieSettings;
  /** Whether everybody may become a user. */
  readonly isSignUpOpen: boolean;
  readonly accessLifetimeMs: number;
  /** Which clusters a daemon belongs to, best first. */
  readonly matchClusters: (daemon: RequestOf<'clusters.match'>['query']) => AnswerOf<'clusters.match'>;
  /** Why a text is no pattern; undefined when it is one. */
  readonly patternProblemOf: (pattern: string) => string | undefined;
  readonly readiness: () => Promise<Readiness>;
  /** Somebody's rights, state or sessions have changed: all managers hear of it. */
  readonly accessChanged: () => Promise<void>;
  readonly now: () => Date;
}

/** Rows in one answer. Whoever asks for more gets the next ones by the links. */
const MAX_ROWS = 10_000;

/** The part of a list that a query asks for, which is made smaller where it is too large. */
export function pageOf(query: { page: number; per_page: number }): Page {
  query.per_page = Math.min(query.per_page, MAX_ROWS);
  return { offset: (query.page - 1) * query.per_page, limit: query.per_page };
}

/** The fields of an object that are not undefined. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

/** Each of these rows once, by its id; those that are gone are missing. */
export async function rowsById<T extends { readonly id: number }>(
  ids: Iterable<number | null>,
  find: (id: number) => Promise<T | undefined>,
): Promise<ReadonlyMap<number, T>> {
  const distinct = [...new Set(ids)].filter((id) => id !== null);
  const rows = await Promise.all(distinct.map(find));
  return new Map(rows.flatMap((row) => (row === undefined ? [] : [[row.id, row] as const])));
}

/** The row that another one refers to by a foreign key, which therefore exists. */
export function the<T>(rows: ReadonlyMap<number, T>, id: number): T {
  const row = rows.get(id);
  if (row === undefined) throw new Error(`row ${id} went while it was read`);
  return row;
}
