import { randomBytes } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { delay, keptSecret, LockedError, lockForProcess, StartError } from '@d7y/service-kit';
import type { Secret } from '@d7y/service-kit';
import pg from 'pg';
import type { Account } from './account.ts';
import { serverAccount } from './account.ts';
import { packagedSoftware } from './binaries.ts';
import type { Layout } from './layout.ts';
import { layoutOf, SOCKET_PORT } from './layout.ts';
import { endLeftover } from './leftover.ts';
import { makeCluster, SUPERUSER } from './make-cluster.ts';
import { prepareFolders, reachableSoftware } from './prepare-folders.ts';
import type { ServerProcess } from './server-process.ts';
import { lastLines, spawnServer } from './server-process.ts';

export interface EmbeddedDatabaseOptions {
  /** Everything lies in here; kept between runs. */
  readonly folder: string;
  /** Folder with `bin` of another PostgreSQL than the one from npm, such as /usr/lib/postgresql/15. */
  readonly software?: string;
  /** Settings of the server beyond ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether what is committed has to survive an end of the machine; without it everything is faster. Default: true. */
  readonly durable?: boolean;
  /** How long a start may take, recovery after a crash included. */
  readonly startTimeoutMs?: number;
  /** The server ended without being told to, and is started again. */
  readonly onUnexpectedEnd?: (reason: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Where a database is; the fields are those that `pg` takes. */
export interface EmbeddedAddress {
  /** Folder of the unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: Secret;
  readonly database: string;
}

export interface EmbeddedDatabase extends AsyncDisposable {
  /** Process id of the server that runs now. */
  readonly pid: number;
  /** Made by this start, not found. */
  readonly isNew: boolean;
  /** Holds the password; for its owner only. */
  readonly passwordFile: string;
  address(database: string): EmbeddedAddress;
  /**
   * Makes a database unless there is one of that name.
   * @param template whose tables and rows it begins with
   */
  createDatabase(name: string, template?: string): Promise<EmbeddedAddress>;
  /** Removes a database, and whoever is connected to it. */
  dropDatabase(name: string): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const PASSWORD_BYTES = 24;
const FORGETFUL = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } as const;
const POLL_MS = 25;
const RESTART_MS = [100, 1_000, 5_000, 15_000];

/**
 * Starts a PostgreSQL of our own that only this machine's users with the password reach, over a unix socket. Ends what an earlier run left
 * running when it was killed; is started again when it ends by itself.
 * @throws {StartError} what to do about it: another process uses the folder, no right to use it, no programs
 */
export async function startEmbeddedDatabase(options: EmbeddedDatabaseOptions): Promise<EmbeddedDatabase> {
  const { signal, durable = true, startTimeoutMs = START_TIMEOUT_MS } = options;
  const settings = { ...(!durable && FORGETFUL), ...options.settings };
  const layout = layoutOf(resolve(options.folder));
  await using starting = new AsyncDisposableStack();
  const account = serverAccount(process.getuid?.(), ownerOf(layout.data));
  prepareFolders(layout, account);
  starting.use(lockFolder(layout));
  starting.defer(() => removeSocketFolder(layout));
  const software = reachableSoftware(options.software ?? packagedSoftware(), layout, account);
  const password = keptSecret(layout.password, () => randomBytes(PASSWORD_BYTES).toString('base64url'));
  const isNew = await makeCluster(layout, { software, account, password, durable, signal });
  await endLeftover(layout.data, signal);
  const address = (database: string): EmbeddedAddress => ({
    ...{ host: layout.socketFolder, port: SOCKET_PORT, user: SUPERUSER },
    ...{ password, database },
  });
  const supervisor = new Supervisor(
    (stopping) => launch(layout, { software, account, settings, startTimeoutMs, address, signal: stopping }),
    (reason) => options.onUnexpectedEnd?.(`${reason}: ${lastLines(layout.log)}`),
  );
  starting.use(supervisor);
  await supervisor.start(signal);
  const running = starting.move();
  return {
    get pid() {
      return supervisor.pid;
    },
    isNew,
    passwordFile: layout.password,
    address,
    async createDatabase(name, template) {
      const [quoted, from] = [pg.escapeIdentifier(name), pg.escapeIdentifier(template ?? 'template1')];
      try {
        await ask(address('postgres'), `create database ${quoted} template ${from}`);
      } catch (error) {
        if ((error as { code?: unknown }).code !== '42P04') throw error; // it is there
      }
      return address(name);
    },
    dropDatabase: (name) =>
      ask(address('postgres'), `drop database if exists ${pg.escapeIdentifier(name)} with (force)`),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

type Launch = (stopping: AbortSignal) => Promise<ServerProcess>;

/** Keeps one server running until disposed. */
class Supervisor implements AsyncDisposable {
  readonly #launch: Launch;
  readonly #onUnexpectedEnd: (reason: string) => void;
  readonly #stopping = new AbortController();
  #server: ServerProcess | undefined;
  #restarting: Promise<void> = Promise.resolve();

  constructor(launch: Launch, onUnexpectedEnd: (reason: string) => void) {
    this.#launch = launch;
    this.#onUnexpectedEnd = onUnexpectedEnd;
  }

  get pid(): number {
    if (this.#server === undefined) throw new Error('PostgreSQL has not been started');
    return this.#server.pid;
  }

  async start(signal: AbortSignal | undefined): Promise<void> {
    const either = signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal]);
    this.#watch(await this.#launch(either));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('PostgreSQL is being stopped'));
    await this.#restarting;
    await this.#server?.stop();
  }

  #watch(server: ServerProcess): void {
    this.#server = server;
    void server.exited.then((reason) => {
      if (this.#stopping.signal.aborted) return;
      this.#onUnexpectedEnd(reason);
      this.#restarting = this.#restart();
    });
  }

  async #restart(): Promise<void> {
    for (let tries = 0; !this.#stopping.signal.aborted; tries++) {
      try {
        await delay(RESTART_MS[Math.min(tries, RESTART_MS.length - 1)] ?? 0, { signal: this.#stopping.signal });
        this.#watch(await this.#launch(this.#stopping.signal));
        return;
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#onUnexpectedEnd(String(error));
      }
    }
  }
}

/** Starts the server and waits until it answers. Tries again while processes of one that was killed are still ending. */
async function launch(
  layout: Layout,
  options: {
    software: string;
    account: Account | undefined;
    settings: Readonly<Record<string, string>>;
    startTimeoutMs: number;
    address: (database: string) => EmbeddedAddress;
    signal: AbortSignal;
  },
): Promise<ServerProcess> {
  const { startTimeoutMs, address, signal } = options;
  const deadlineMs = performance.now() + startTimeoutMs;
  for (;;) {
    const server = await spawnServer(layout, options);
    let ended: string | undefined;
    void server.exited.then((reason) => (ended = reason));
    try {
      while (ended === undefined) {
        if (await answers(address('postgres'))) return server;
        if (performance.now() > deadlineMs) {
          throw new StartError(`PostgreSQL does not answer after ${startTimeoutMs / 1000} s: ${lastLines(layout.log)}`);
        }
        await delay(POLL_MS, { signal });
      }
      const lines = lastLines(layout.log, 5);
      if (!/shared memory block .* is still in use/.test(lines) || performance.now() > deadlineMs) {
        throw new StartError(`PostgreSQL ${ended}: ${lines}`);
      }
      await delay(RESTART_MS[0] ?? 0, { signal });
    } catch (error) {
      if (ended === undefined) await server.stop();
      throw error;
    }
  }
}

async function answers(address: EmbeddedAddress): Promise<boolean> {
  try {
    await ask(address, 'select 1');
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === '28P01') {
      throw new StartError(
        'the database has another password than its file: restore that, or choose a new data directory',
        {
          cause: error,
        },
      );
    }
    return false;
  }
}

async function ask({ password, ...address }: EmbeddedAddress, statement: string): Promise<void> {
  const client = new pg.Client({ ...address, password: password.reveal(), connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined); // the query that waits fails as well
  try {
    await client.connect();
    await client.query(statement);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function lockFolder({ folder, lock, lockOwner }: Layout): Disposable {
  try {
    return lockForProcess(lock, lockOwner);
  } catch (error) {
    if (!(error instanceof LockedError)) throw error;
    const who = error.owner === undefined ? 'another process' : `process ${error.owner}`;
    throw new StartError(`the database in ${folder} is in use by ${who}, stop it or choose another data directory`, {
      cause: error,
    });
  }
}

/** Where it had to lie elsewhere, it would stay behind. */
function removeSocketFolder({ folder, socketFolder }: Layout): void {
  if (!socketFolder.startsWith(folder)) rmSync(socketFolder, { recursive: true, force: true });
}

function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    return undefined;
  }
}
