import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { startEmbeddedDatabase } from '@d7y/embedded-database';
import type { RunningManager } from '@d7y/manager-service';
import { readManagerConfig, startManager } from '@d7y/manager-service';
import { readPreheatWorkerConfig, startPreheatWorker } from '@d7y/preheat-service';
import type { LogLevel, Secret } from '@d7y/service-kit';
import { createLogger, keptSecret } from '@d7y/service-kit';
import type { ClusterPlan } from './plan.ts';
import { MANAGER_DATABASE, managerConfigText, WORKER_SECRETS, workerConfigText } from './plan.ts';

export interface EmbeddedManagerOptions {
  readonly plan: ClusterPlan;
  readonly otlpEndpoint: string | undefined;
  readonly logLevel: LogLevel;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Gets a line when PostgreSQL ends by itself; it is started again. */
  readonly onDatabaseEnd: (line: string) => void;
}

export interface EmbeddedManager extends AsyncDisposable {
  readonly manager: RunningManager;
  /** Random, of the user `root`, when this start made that user; it is kept nowhere. */
  readonly rootPassword: Secret | undefined;
  /** Starts the preheat worker. Jobs that are asked for before wait for it, so it comes when the daemons are known that it is to tell. */
  readonly startWorker: () => Promise<AsyncDisposable>;
}

const KEY_BYTES = 32;
/** Variables for a manager that runs by itself would move this one away from its own database and ports. */
const FOREIGN = /^DRAGONFLY_MANAGER_/;

/** Starts a PostgreSQL of our own and a manager on it. */
export async function startEmbeddedManager(options: EmbeddedManagerOptions): Promise<EmbeddedManager> {
  const { plan, env, logLevel, signal, onDatabaseEnd } = options;
  const { databaseFolder, sessionKeyFile, sealingKeyFile } = plan.manager;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(
    await startEmbeddedDatabase({ folder: databaseFolder, signal, onUnexpectedEnd: onDatabaseEnd }),
  );
  const { host, port, user, password } = await database.createDatabase(MANAGER_DATABASE);
  await mkdir(dirname(sessionKeyFile), { recursive: true, mode: 0o700 });
  const newKey = () => randomBytes(KEY_BYTES).toString('base64');
  keptSecret(sessionKeyFile, newKey);
  const sealingKey = keptSecret(sealingKeyFile, newKey);
  const config = readManagerConfig({
    text: managerConfigText(plan, { host, port, user, passwordFile: database.passwordFile }, options),
    logLevel,
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !FOREIGN.test(name))),
  });
  // Standard output is for what was started, in a form that programs read.
  const logger = (name: string) => createLogger({ name, level: logLevel, stream: process.stderr });
  let rootPassword: Secret | undefined;
  const manager = stack.use(
    await startManager(config, {
      signal,
      overrides: {
        ...{ logger: logger('manager'), processMetrics: false },
        tellRootPassword: (password) => (rootPassword = password),
      },
    }),
  );
  const worker = readPreheatWorkerConfig({
    text: workerConfigText(plan, { host, port, user }, options),
    env: {
      [WORKER_SECRETS.databasePassword]: password.reveal(),
      [WORKER_SECRETS.sealingKey]: sealingKey.reveal(),
    },
    logLevel,
  });
  const running = stack.move();
  return {
    ...{ manager, rootPassword },
    startWorker: () =>
      startPreheatWorker(worker, {
        signal,
        overrides: { logger: logger('preheat-worker'), processMetrics: false },
      }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
