import type { ServerResponse } from 'node:http';
import type { AnswerOf, RequestOf, RouteId } from '@d7y/manager-api';
import type { CookieSerializeOptions } from '@fastify/cookie';
import type { Principal } from './auth/principal.ts';

/** One request, after it was let in and checked. */
export interface Call<Id extends RouteId> extends RequestOf<Id> {
  readonly principal: Principal;
  /** Address of the client, as far as trusted proxies tell. */
  readonly ip: string;
  /** Aborts when the client has gone or waited too long. */
  readonly signal: AbortSignal;
  readonly cookies: Readonly<Record<string, string | undefined>>;
  /** What `Authorization: Bearer` carries; undefined without it. */
  readonly bearer: string | undefined;
  setHeader(name: string, value: string): void;
  setCookie(name: string, value: string, options: CookieSerializeOptions): void;
  /** How many rows there are in all: writes the links to the other pages. */
  setTotal(totalCount: number): void;
  /** Who is meant, for the audit log, where the call itself does not know its caller: a sign-in. */
  setActor(name: string): void;
  /** What may be listened to; only where the route is about topics. */
  topics(): ReadonlySet<string>;
  /** Asks once more whether the caller may do this. @throws as the gate does */
  letInAgain(): Promise<void>;
  /** Begins an answer of status 200 that the handler writes itself, for as long as it likes: neither `signal` nor the limit of time ends it. */
  takeOver(headers: Readonly<Record<string, string>>): ServerResponse;
}

export type Handler<Id extends RouteId> = (call: Call<Id>) => Promise<AnswerOf<Id>> | AnswerOf<Id>;

/** A handler for each of these routes. */
export type Handlers<Id extends RouteId = RouteId> = { readonly [Each in Id]: Handler<Each> };
