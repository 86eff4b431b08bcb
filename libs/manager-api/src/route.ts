import type { z } from 'zod';

/** What is needed to call a route through the door of sessions. */
export type Access =
  /** Nothing: credentials are not even looked at. */
  | { readonly kind: 'open' }
  /** To be signed in. */
  | { readonly kind: 'signedIn' }
  /** A role that may do this with the group of routes that `object` names. */
  | {
      readonly kind: 'right';
      readonly object: string;
      readonly action: 'read' | '*';
      /** Whom `:id` names may do it as well. */
      readonly self?: true;
    }
  /** To get of each topic what may be read: whoever may call its list, by its id, at the same door. Whoever may call none is not let in. */
  | { readonly kind: 'topics'; readonly lists: Readonly<Record<string, string>> };

/** Ways in. A route may have several. */
export interface Doors {
  /** At its own path, without a prefix, for everybody. */
  readonly root?: true;
  /** Below `/api/v1`, with a session. */
  readonly session?: true;
  /** Below `/oapi/v1`, with a personal access token of this scope whose owner has the right as well. */
  readonly token?: 'job' | 'cluster';
}

/** A route that configuration may open to callers without credentials. */
export interface Opening {
  /** What configuration calls it. */
  readonly as: string;
  /** Only for requests whose body has these fields. */
  readonly when?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the prefix of the door; parameters as `:name`. */
  readonly path: string;
  readonly doors: Doors;
  readonly access: Access;
  readonly opening?: Opening;
  /** In one sentence, for the document. */
  readonly summary: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  /** Of status 200. Undefined: an empty body. */
  readonly answer?: z.ZodType;
  /** Instead of an answer: a stream of server-sent events, each of which is one of these. */
  readonly event?: z.ZodType;
  /** The answer is one page of a list, with `Link` and `X-Total-Count`. */
  readonly isPaged?: true;
  /** About who may: recorded although it may change nothing. */
  readonly isAboutAccess?: true;
  /** Guesses are what it is called with: few may be made. */
  readonly isThrottled?: true;
}

export const PREFIXES = { root: '', session: '/api/v1', token: '/oapi/v1' } as const satisfies Record<
  keyof Doors,
  string
>;

/** The right to a group of routes, by the method: GET reads, everything else needs `*`. */
export const right = (object: string, action: 'read' | '*') => ({ kind: 'right', object, action }) as const;

/** The same, which whom `:id` names has in any case. */
export const rightOrSelf = (object: string, action: 'read' | '*') =>
  ({ kind: 'right', object, action, self: true }) as const;

/** Keeps the exact types of the table's schemas. */
export const routes = <const Table extends Readonly<Record<string, Route>>>(table: Table): Table => table;
