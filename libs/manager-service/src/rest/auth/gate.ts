import { hashToken, TOKEN_KINDS } from '@d7y/manager-db';
import type { Access, Doors, Opening, Route, RouteId, TokenScope } from '@d7y/manager-api';
import { ROUTES } from '@d7y/manager-api';
import type { FastifyRequest } from 'fastify';
import { ForbiddenError, TooManyRequestsError, UnauthenticatedError } from '../errors.ts';
import type { AccessSource, KnownUser } from './access-source.ts';
import type { AccessTokens } from './access-tokens.ts';
import { bearerOf } from './bearer.ts';
import type { Principal } from './principal.ts';
import { NOBODY, ROOT } from './principal.ts';
import { originOf } from './same-origin.ts';

/** Which door of which route somebody stands at. */
export interface Place {
  readonly id: RouteId;
  readonly route: Route;
  readonly door: keyof Doors;
}

export interface GateOptions {
  readonly source: AccessSource;
  readonly tokens: AccessTokens;
  /** Names of routes that everybody may call, as configuration has them. */
  readonly openRoutes: ReadonlySet<string>;
  /** Counts a call without credentials; says how long to wait when there were too many. */
  readonly countOpenCall: (request: FastifyRequest) => Promise<{ readonly retryAfterMs: number } | undefined>;
  readonly allowedOrigins: readonly string[];
  readonly onTokenUsed: (tokenId: number) => void;
  /** Unix time in ms. */
  readonly now: () => number;
}

export const SESSION_COOKIE = 'jwt';
/** A token of a session may be this much older than the change of the password that it came with: clocks, and whole seconds in it. */
const CLOCK_SLACK_MS = 1_000;

/** Decides who is let in where. Closed unless the table, a role, a scope or the configuration opens it. */
export class Gate {
  readonly #options: GateOptions;
  readonly #principals = new WeakMap<object, Principal>();
  readonly #actors = new WeakMap<object, string>();
  readonly #topics = new WeakMap<object, ReadonlySet<string>>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /**
   * May be asked again for a request that lasts, which may have lost its right meanwhile.
   * @throws {UnauthenticatedError} {@link ForbiddenError} {@link TooManyRequestsError}
   */
  async letIn(request: FastifyRequest, place: Place): Promise<void> {
    const { access, method } = place.route;
    if (access.kind === 'open') return this.#checkOpen(request, place);
    const principal = await this.#identify(request, place);
    this.#principals.set(request.raw, principal);
    if (principal.kind === 'user' && principal.isFromCookie && method !== 'GET') {
      if (originOf(request, this.#options.allowedOrigins) !== 'same')
        throw new ForbiddenError('a session from a cookie changes things only for pages of this manager');
    }
    await this.#checkRight(principal, request, place);
  }

  /** What could not be checked before the body was read. @throws {UnauthenticatedError} */
  checkBody(request: FastifyRequest, { route: { opening } }: Place): void {
    if (this.principalOf(request).kind !== 'nobody' || opening?.when === undefined) return;
    const body = request.body as Record<string, unknown>;
    for (const [field, value] of Object.entries(opening.when))
      if (body[field] !== value) throw new UnauthenticatedError('sign in first');
  }

  principalOf({ raw }: FastifyRequest): Principal {
    return this.#principals.get(raw) ?? NOBODY;
  }

  /** What may be listened to, as far as the route is about topics; as it was when the request was let in last. */
  topicsOf({ raw }: FastifyRequest): ReadonlySet<string> {
    return this.#topics.get(raw) ?? new Set();
  }

  setActor({ raw }: FastifyRequest, name: string): void {
    this.#actors.set(raw, name);
  }

  /** Who acted, for the audit log. */
  actorOf(request: FastifyRequest): { readonly type: 'UNKNOWN' | 'USER' | 'PAT'; readonly name: string } {
    const principal = this.principalOf(request);
    if (principal.kind === 'token') return { type: 'PAT', name: principal.name };
    if (principal.kind === 'user') return { type: 'USER', name: principal.name };
    const name = this.#actors.get(request.raw);
    return name === undefined ? { type: 'UNKNOWN', name: '' } : { type: 'USER', name };
  }

  /** Whether roles give a right. */
  async hasRight(roles: readonly string[], object: string, action: 'read' | '*'): Promise<boolean> {
    if (roles.includes(ROOT)) return true;
    const permissions = await this.#options.source.permissions();
    return roles.some((role) =>
      permissions
        .get(role)
        ?.some((has) => (has.object === object || has.object === '*') && (has.action === '*' || has.action === action)),
    );
  }

  /** Signing in or out for somebody by a foreign page is no good either. */
  #checkOpen(request: FastifyRequest, { door, route: { method } }: Place): void {
    if (door === 'session' && method !== 'GET' && originOf(request, this.#options.allowedOrigins) === 'other')
      throw new ForbiddenError('this is for pages of this manager');
  }

  async #identify(request: FastifyRequest, place: Place): Promise<Principal> {
    const bearer = bearerOf(request.headers);
    if (place.door === 'token') return this.#identifyToken(bearer);
    if (bearer?.startsWith(TOKEN_KINDS.personal))
      throw new UnauthenticatedError('personal access tokens are for /oapi/v1');
    const cookie = request.cookies[SESSION_COOKIE];
    const session = bearer ?? cookie;
    if (session !== undefined && session !== '') return this.#identifySession(session, bearer === undefined);
    if (request.headers.authorization !== undefined) throw new UnauthenticatedError('only Bearer is understood');
    return this.#identifyNobody(request, place.route.opening);
  }

  async #identifySession(token: string, isFromCookie: boolean): Promise<Principal> {
    const { source, tokens } = this.#options;
    const { userId, sessionId, issuedAtMs } = await tokens.read(token);
    const [user, isRevoked] = await Promise.all([source.user(userId), source.isRevoked(sessionId)]);
    const changedMs = user?.passwordChangedAt?.getTime() ?? 0;
    if (user === undefined || isRevoked || issuedAtMs + CLOCK_SLACK_MS < changedMs)
      throw new UnauthenticatedError('the session is over, sign in again');
    checkEnabled(user);
    return { kind: 'user', userId, name: user.name, roles: user.roles, sessionId, isFromCookie };
  }

  async #identifyToken(bearer: string | undefined): Promise<Principal> {
    const { source, now } = this.#options;
    if (bearer === undefined) throw new UnauthenticatedError('a personal access token is needed');
    const token = await source.token(hashToken(bearer));
    if (token === undefined) throw new UnauthenticatedError('the personal access token is not known');
    if (token.state !== 'active') throw new ForbiddenError('Token is inactive');
    if (token.expiredAt.getTime() <= now()) throw new ForbiddenError('Token has expired');
    const owner = await source.user(token.userId);
    if (owner === undefined) throw new UnauthenticatedError('the personal access token is not known');
    checkEnabled(owner);
    this.#options.onTokenUsed(token.id);
    const scopes = token.scopes as readonly TokenScope[];
    return { kind: 'token', userId: owner.id, name: token.name, roles: owner.roles, scopes };
  }

  async #identifyNobody(request: FastifyRequest, opening: Opening | undefined): Promise<Principal> {
    if (opening === undefined || !this.#options.openRoutes.has(opening.as))
      throw new UnauthenticatedError('sign in first');
    const exceeded = await this.#options.countOpenCall(request);
    if (exceeded !== undefined)
      throw new TooManyRequestsError('too many requests without credentials', exceeded.retryAfterMs);
    return NOBODY;
  }

  async #checkRight(principal: Principal, request: FastifyRequest, { route, door }: Place): Promise<void> {
    const { access, doors } = route;
    if (principal.kind === 'nobody') return;
    if (access.kind === 'topics') return await this.#checkTopics(principal, request, { lists: access.lists, door });
    if (access.kind !== 'right') return;
    const refusal = await this.#refusalOf(principal, access, doors, request);
    if (refusal !== undefined) throw new ForbiddenError(refusal);
  }

  /** Finds the topics whose list he may read at this door. */
  async #checkTopics(
    principal: Caller,
    request: FastifyRequest,
    { lists, door }: { readonly lists: Readonly<Record<string, string>>; readonly door: keyof Doors },
  ): Promise<void> {
    const topics = new Set<string>();
    let refusal: string | undefined;
    for (const [topic, id] of Object.entries(lists)) {
      const { access, doors }: Route = ROUTES[id as RouteId];
      if (access.kind !== 'right' || doors[door] === undefined) continue;
      const refused = await this.#refusalOf(principal, access, doors, request);
      if (refused === undefined) topics.add(topic);
      else refusal ??= refused;
    }
    this.#topics.set(request.raw, topics);
    if (topics.size === 0) throw new ForbiddenError(refusal ?? 'permission deny');
  }

  /** Why he may not; undefined when he may. */
  async #refusalOf(
    principal: Caller,
    { object, action, self }: Extract<Access, { kind: 'right' }>,
    doors: Doors,
    request: FastifyRequest,
  ): Promise<string | undefined> {
    if (principal.kind === 'token' && !coversScope(principal.scopes, doors.token, action))
      return `Token has no scope ${doors.token ?? ''}`;
    const { id } = (request.params ?? {}) as { id?: string };
    if (self && principal.kind === 'user' && id === String(principal.userId)) return undefined;
    return (await this.hasRight(principal.roles, object, action)) ? undefined : 'permission deny';
  }
}

/** Somebody who is known. */
type Caller = Exclude<Principal, { kind: 'nobody' }>;

function checkEnabled({ state }: KnownUser): void {
  if (state !== 'enable') throw new ForbiddenError('this user is disabled');
}

function coversScope(scopes: readonly TokenScope[], needed: Doors['token'], action: 'read' | '*'): boolean {
  if (needed === undefined) return false;
  return scopes.includes(needed) || (action === 'read' && scopes.includes(`${needed}:read`));
}
