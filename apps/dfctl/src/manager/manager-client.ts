import { readFile } from 'node:fs/promises';
import type { HttpAnswer } from '@d7y/cli-kit';
import { askHttp } from '@d7y/cli-kit';
import type { AnswerOf, RouteId } from '@d7y/manager-api';
import { failure, invalid, PREFIXES, ROUTES } from '@d7y/manager-api';
import type { Route } from '@d7y/manager-api';
import { describeSystemError, safeUrl } from '@d7y/service-kit';
import { ManagerError } from '../errors.ts';

/** Which manager is asked, and as whom. */
export interface ManagerOptions {
  /** http or https URL. */
  readonly manager: string;
  /** A file with a personal access token. Without one, only routes that the manager has opened answer. */
  readonly tokenFile?: string | undefined;
  /** File of the authority that signed the manager's certificate, in PEM, beside those that Node knows. */
  readonly ca?: string | undefined;
}

export interface ManagerCall {
  /** Of `:id` in the path. */
  readonly id?: number;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
}

const TIMEOUT_MS = 30_000;

/** Calls routes of the manager by the table of the interface, and reads answers by its schemas. */
export class ManagerClient {
  readonly #url: URL;
  readonly #token: string | undefined;
  readonly #ca: string | undefined;

  private constructor(url: URL, token: string | undefined, ca: string | undefined) {
    this.#url = url;
    this.#token = token;
    this.#ca = ca;
  }

  /** @throws {ManagerError} a file cannot be read */
  static async open({ manager, tokenFile, ca }: ManagerOptions): Promise<ManagerClient> {
    const token = tokenFile === undefined ? undefined : (await read(tokenFile)).trim();
    return new ManagerClient(new URL(manager), token, ca === undefined ? undefined : await read(ca));
  }

  /** @throws {ManagerError} it does not answer, or refuses */
  async call<Id extends RouteId>(
    route: Id,
    call: ManagerCall,
    { signal }: { signal: AbortSignal },
  ): Promise<AnswerOf<Id>> {
    return (await this.callWithHeaders(route, call, { signal })).answer;
  }

  /** The same, with the headers of the answer: they tell how long a list is. */
  async callWithHeaders<Id extends RouteId>(
    id: Id,
    call: ManagerCall,
    { signal }: { signal: AbortSignal },
  ): Promise<{ readonly answer: AnswerOf<Id>; readonly headers: HttpAnswer['headers'] }> {
    const route: Route = ROUTES[id];
    const answer = await this.#ask(route, call, signal);
    if (answer.status !== 200) throw refusal(answer, this.#token !== undefined);
    if (route.answer === undefined) return { answer: undefined as AnswerOf<Id>, headers: answer.headers };
    const read = route.answer.safeParse(jsonOf(answer.text));
    if (!read.success) {
      throw new ManagerError(`${this.#shown} answers what a manager does not`, {
        remedy: 'give the address of the REST interface of a manager of ours with --manager',
      });
    }
    return { answer: read.data as AnswerOf<Id>, headers: answer.headers };
  }

  async #ask(route: Route, { id, query = {}, body }: ManagerCall, signal: AbortSignal): Promise<HttpAnswer> {
    const prefix = this.#token === undefined ? PREFIXES.session : PREFIXES.token;
    const path = route.path.replace(':id', String(id ?? ''));
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
    const search = parameters.size === 0 ? '' : `?${parameters.toString()}`;
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    try {
      return await askHttp(
        {
          ...{ protocol: this.#url.protocol, host: this.#url.hostname.replace(/^\[|\]$/g, ''), port: this.#url.port },
          ...{ path: `${this.#url.pathname.replace(/\/$/, '')}${prefix}${path}${search}`, method: route.method, body },
          ...(this.#token !== undefined && { headers: { authorization: `Bearer ${this.#token}` } }),
          ...(this.#ca !== undefined && { ca: this.#ca }),
        },
        { signal: AbortSignal.any([signal, limit]) },
      );
    } catch (cause) {
      signal.throwIfAborted();
      throw new ManagerError(`no manager answers at ${this.#shown}: ${reasonOf(cause, limit.aborted)}`, {
        cause,
        remedy: 'start it, or give its address with --manager (or DFCTL_MANAGER); --ca for a private authority',
      });
    }
  }

  get #shown(): string {
    return safeUrl(this.#url.href);
  }
}

function refusal({ status, text, headers }: HttpAnswer, hasToken: boolean): ManagerError {
  const body = jsonOf(text);
  const said = failure.safeParse(body).data?.message ?? invalid.safeParse(body).data?.errors ?? `status ${status}`;
  switch (status) {
    case 401:
      return new ManagerError(said, {
        remedy: hasToken
          ? 'the token is not one of this manager, make another one there'
          : 'give a personal access token with --token-file',
      });
    case 403:
      return new ManagerError(said, { remedy: 'the token needs the scope job, and its user the right to do this' });
    case 429:
      return new ManagerError(said, { remedy: `try again in ${headers['retry-after'] ?? 'some'} seconds` });
    default:
      return new ManagerError(said);
  }
}

function reasonOf(cause: unknown, isLate: boolean): string {
  if (isLate) return `nothing within ${TIMEOUT_MS / 1000} s`;
  const { code } = cause as { code?: string };
  if (code === 'ECONNREFUSED') return 'the connection is refused';
  if (code === 'ENOTFOUND') return 'the name has no address';
  return describeSystemError(cause) ?? (cause instanceof Error ? cause.message : String(cause));
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ManagerError(`${path} cannot be read: ${describeSystemError(cause) ?? String(cause)}`, { cause });
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
