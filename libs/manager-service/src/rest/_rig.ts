import type { Route } from '@d7y/manager-api';
import { OBJECTS, PREFIXES, ROUTES } from '@d7y/manager-api';
import type { Database, JobEnd } from '@d7y/manager-db';
import {
  hashToken,
  JobIntake,
  JobRepository,
  makeFirstRows,
  makeToken,
  migrateDatabase,
  openDatabase,
  PasswordHasher,
  PersonalAccessTokenRepository,
  prefixOf,
  RoleRepository,
  SessionRepository,
  UserRepository,
} from '@d7y/manager-db';
import { DfError } from '@d7y/piece';
import { createLogger, createMetrics, listen, noTelemetry, Secret } from '@d7y/service-kit';
import type { TestDatabases } from '@d7y/testkit';
import { startTestDatabases } from '@d7y/testkit';
import { AccessTokens } from './auth/access-tokens.ts';
import type { Rest, RestAuth, RestOptions } from './create-rest.ts';
import { createRest } from './create-rest.ts';
import type { JobRequest, Jobs, SubmittedJob } from './jobs-port.ts';

export const ROOT_PASSWORD = 'of the root, 1';
const NEVER = new Date('2999-01-01');
const KEY = new Secret('a key for tests, of more than 32 bytes');

/** Jobs that are written down, without credentials, and done by nobody; the test says what becomes of them. */
export class WrittenJobs implements Jobs {
  readonly requests: JobRequest[] = [];
  readonly calls: string[] = [];
  /** Thrown by the next call. */
  failure: Error | undefined;
  readonly #database: Database;
  readonly #intake: JobIntake;

  constructor(database: Database) {
    this.#database = database;
    this.#intake = new JobIntake(database);
  }

  async submit(request: JobRequest): Promise<SubmittedJob> {
    this.#fail();
    this.requests.push(request);
    const {
      headers: _headers,
      username: _username,
      password: _password,
      ...args
    } = request.args as Record<string, unknown>;
    const { type, bio, userId, schedulerClusterIds, seedPeerClusterIds, idempotencyKey } = request;
    // How many a cluster takes is another matter.
    await this.#database.pool.query(
      `update scheduler_cluster set config = config - 'job_rate_limit' where config ->> 'job_rate_limit' is not null`,
    );
    const now = new Date();
    const taken = await this.#intake.accept({
      ...{ type, bio, args, userId, clusterIds: schedulerClusterIds, seedPeerClusterIds },
      groupId: `group_${crypto.randomUUID()}`,
      dedupKey: hashToken(JSON.stringify([type, args, schedulerClusterIds])),
      idempotencyKey: idempotencyKey === undefined ? undefined : hashToken(idempotencyKey),
      ...{ traceparent: undefined, now, deadlineAt: NEVER, seal: undefined, secretExpiresAt: now },
    });
    if (taken.kind !== 'accepted' && taken.kind !== 'duplicate') throw new TypeError(taken.kind);
    return { id: taken.id, isDuplicate: taken.kind === 'duplicate' };
  }

  async cancel(id: number): Promise<void> {
    await this.#call('cancel', id);
    await this.end(id, { state: 'FAILURE', phase: 'CANCELLED', error: 'cancelled' });
  }

  async retry(id: number): Promise<void> {
    await this.#call('retry', id);
    const options = { now: new Date(), timeoutMs: () => 60_000, needsSecret: () => false };
    if ((await this.#intake.beginAnew(id, options)) !== 'begun')
      throw new JobConflictError('only a job that failed can be tried again');
  }

  async remove(id: number): Promise<void> {
    await this.#call('remove', id);
    await this.#intake.remove(id);
  }

  async end(
    id: number,
    { result = {}, ...end }: Pick<JobEnd, 'state'> & Partial<Pick<JobEnd, 'phase' | 'error'>> & { result?: object },
  ): Promise<void> {
    await this.#intake.end(id, {
      ...{ phase: end.state, error: undefined, ...end, now: new Date() },
      result: () => ({ ...result }),
    });
  }

  async #call(name: string, id: number): Promise<void> {
    this.#fail();
    this.calls.push(`${name} ${id}`);
    await new JobRepository(this.#database.db).get(id);
  }

  #fail(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }
}

export class JobConflictError extends DfError {
  override readonly name = 'JobConflictError';
  readonly code = 'JOB_CONFLICT';
  readonly retryable = false;
}

export interface RigOptions {
  readonly auth?: Partial<RestAuth>;
  readonly rest?: Partial<RestOptions>;
  readonly clock?: () => number;
}

/** One that serves, and a client for it. */
export interface Served extends AsyncDisposable {
  readonly rest: Rest;
  readonly url: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
}

/** A manager's REST interface over a real database. */
export interface RestRig extends Served {
  readonly database: Database;
  readonly jobs: WrittenJobs;
  readonly lines: string[];
  /** A second manager on the same database. */
  another(): Promise<Served>;
  /** A user with these roles, and a session of it. */
  userWith(roles: readonly string[]): Promise<{ id: number; name: string; token: string }>;
  /** A personal access token of a user. */
  tokenOf(userId: number, scopes: readonly string[], expiredAt?: Date): Promise<{ id: number; token: string }>;
  readonly root: { readonly id: number; readonly token: string };
}

export interface CallOptions {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; empty when there is none. */
  readonly json: AnswerJson;
}

/** Fields with which tests go on; an answer has those of its route, and a list has none. What it is as a whole is compared. */
export interface AnswerJson {
  readonly [field: string]: unknown;
  readonly id: number;
  readonly state: string;
  readonly token: string;
  readonly token_prefix: string;
  readonly refresh_token: string;
  readonly message: string;
  readonly roles: readonly string[];
  readonly scopes: unknown;
  readonly schedulers: unknown;
  readonly last_used_at: string | null;
}

export const startDatabases = (): Promise<TestDatabases> =>
  startTestDatabases({
    prepare: async (address) => {
      await migrateDatabase(address);
      await using database = await openDatabase({ address });
      const passwords = new PasswordHasher();
      await makeFirstRows(database, {
        objects: OBJECTS,
        rootPassword: new Secret(ROOT_PASSWORD),
        passwords,
        now: new Date(),
      });
    },
  });

let count = 0;

const clientOf =
  (url: string): Served['call'] =>
  async (method, path, { token, body, headers = {} } = {}) => {
    const response = await fetch(url + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: (text === '' ? {} : JSON.parse(text)) as AnswerJson,
    };
  };

export async function startRest(databases: TestDatabases, options: RigOptions = {}): Promise<RestRig> {
  await using stack = new AsyncDisposableStack();
  const address = await databases.create();
  stack.defer(() => databases.drop(address));
  const database = stack.use(await openDatabase({ address }));
  const jobs = new WrittenJobs(database);
  const lines: string[] = [];
  const logger = createLogger({
    name: 'manager',
    level: 'debug',
    stream: { write: (line: string) => void lines.push(line) },
  });
  const serve = async (): Promise<Served> => {
    await using own = new AsyncDisposableStack();
    const rest = own.use(
      await createRest({
        ...{ database, jobs, logger, passwords: new PasswordHasher(), telemetry: noTelemetry() },
        metrics: createMetrics({ processMetrics: false }),
        auth: {
          ...{ key: KEY, realm: 'Dragonfly', accessLifetimeMs: 900_000, maxRefreshMs: 3_600_000, isSignUpOpen: false },
          ...{ openRoutes: [], cookie: { secure: false, sameSite: 'lax' }, signInsPerMinute: 5 },
          ...options.auth,
        },
        matchClusters: () => [],
        patternProblemOf: (pattern) => (pattern.includes('(?!') ? 'not of RE2' : undefined),
        ...{
          schedulers: {},
          readiness: () => Promise.resolve({ isReady: true, says: 'OK' }),
          serverIp: '10.0.0.9',
          isTls: false,
          stopping: new AbortController().signal,
        },
        ...{ trustedProxies: [], allowedOrigins: [], version: '0.0.0' },
        ...(options.clock && { clock: options.clock }),
        limits: { requestsPerClient: 1_000_000 },
        ...options.rest,
      }),
    );
    const listening = await listen({ host: '127.0.0.1', port: 0, http: rest.handler, logger, drainMs: 100 });
    own.use(listening);
    const running = own.move();
    const url = `http://127.0.0.1:${listening.port}`;
    return { rest, url, call: clientOf(url), [Symbol.asyncDispose]: () => running.disposeAsync() };
  };
  const served = stack.use(await serve());
  const users = new UserRepository(database.db);
  const now = () => new Date(options.clock?.() ?? Date.now());
  /** Without a password: hashing takes time. */
  const sessionOf = async (userId: number): Promise<string> => {
    const sessionId = crypto.randomUUID();
    const tokenHash = hashToken(makeToken('refresh').reveal());
    await new SessionRepository(database.db).begin(
      { userId, sessionId, tokenHash, expiresAt: new Date('2999-01-01') },
      now(),
    );
    const tokens = new AccessTokens({ key: KEY, realm: 'Dragonfly', lifetimeMs: 900_000, now: () => now().getTime() });
    return (await tokens.sign(userId, sessionId)).token;
  };
  const rootRow = await users.findByName('root');
  if (rootRow === undefined) throw new Error('there is no root');
  const running = stack.move();
  return {
    ...{ rest: served.rest, url: served.url, call: served.call, database, jobs, lines },
    another: serve,
    root: { id: rootRow.id, token: await sessionOf(rootRow.id) },
    async userWith(roles) {
      const name = `user-${++count}`;
      const { id } = await users.create({ name, email: `${name}@example.com` }, now());
      for (const role of roles) await users.giveRole(id, role);
      return { id, name, token: await sessionOf(id) };
    },
    async tokenOf(userId, scopes, expiredAt = new Date('2999-01-01')) {
      const token = makeToken('personal').reveal();
      const row = await new PersonalAccessTokenRepository(database.db).create(
        {
          ...{ name: `token-${++count}`, bio: '', userId, scopes: [...scopes], expiredAt },
          ...{ tokenHash: hashToken(token), tokenPrefix: prefixOf(token) },
        },
        now(),
      );
      return { id: row.id, token };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** A role that may exactly this, made anew. */
export async function makeRole(
  database: Database,
  permissions: Parameters<RoleRepository['create']>[1],
): Promise<string> {
  const role = `role-${++count}`;
  await database.transaction((tx) => new RoleRepository(tx).create(role, permissions, new Date()));
  return role;
}

/** Where a route is at a door, with parameters that name nothing. */
export function pathOf(
  route: Route,
  door: keyof typeof PREFIXES,
  parameters: Readonly<Record<string, string>> = {},
): string {
  return (
    PREFIXES[door] +
    route.path.replace(/:(\w+)/g, (_all, name: string) => parameters[name] ?? (name === 'role' ? 'nothing' : '999999'))
  );
}

export const TABLE = Object.entries<Route>(ROUTES);
