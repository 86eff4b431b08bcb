import type { DatabaseAddress } from '@d7y/manager-db';
import { migrateDatabase } from '@d7y/manager-db';
import { createManagerClient, createSchedulerManagerClient, type SchedulerRegistration } from '@d7y/peer-protocol';
import { createLogger, type Logger } from '@d7y/service-kit';
import { startTestDatabases, type TestDatabases } from '@d7y/testkit';
import { afterAll, beforeAll } from '@jest/globals';
import type { ManagerOverrides, RunningManager } from './compose.ts';
import { startManager } from './compose.ts';
import { type ManagerConfig, readManagerConfig } from './config/read-manager-config.ts';

export const silent: Logger = createLogger({ name: 'test', level: 'silent' });

/** A PostgreSQL for the tests of one file. @returns makes a database of its own, with tables */
export function databasesOfTests(): () => Promise<DatabaseAddress> {
  let databases: TestDatabases | undefined;
  beforeAll(async () => {
    databases = await startTestDatabases({ prepare: migrateDatabase });
  }, 60_000);
  afterAll(async () => {
    await databases?.[Symbol.asyncDispose]();
  });
  return async () => {
    if (databases === undefined) throw new Error('no PostgreSQL');
    return await databases.create();
  };
}

export interface TestConfig {
  /** Further sections; the others are further keys of sections. */
  readonly yaml?: string;
  readonly grpc?: string;
  readonly rest?: string;
  readonly postgres?: string;
}

/** Of a manager on ports of its own. */
export function configOfTests(
  { host, port, user, password, database }: DatabaseAddress,
  { yaml = '', grpc = '', rest = '', postgres = '' }: TestConfig = {},
): ManagerConfig {
  return readManagerConfig({
    text: `
server: { grpc: { listenIP: 127.0.0.1, port: { start: 0 }, ${grpc} }, rest: { addr: '127.0.0.1:0', ${rest} } }
auth: { jwt: { key: 0123456789abcdef0123456789abcdef } }
database: { postgres: { host: ${host}, port: ${port}, user: ${user}, ${password === undefined ? '' : `password: '${password.reveal()}',`} dbname: ${database}, ${postgres} } }
${yaml}`,
    env: {},
  });
}

/** Starts a manager on ports of its own. */
export function startTestManager(
  address: DatabaseAddress,
  { overrides = {}, ...config }: TestConfig & { readonly overrides?: ManagerOverrides } = {},
): Promise<RunningManager> {
  return startManager(configOfTests(address, config), {
    signal: new AbortController().signal,
    overrides: {
      ...{
        logger: silent,
        processMetrics: false,
        watchIntervalMs: 20,
        leaderTryMs: 50,
        tellRootPassword: () => undefined,
      },
      ...overrides,
    },
  });
}

export const targetOf = ({ grpcPort }: RunningManager) => ({ host: '127.0.0.1', port: grpcPort });

/** The manager as a scheduler sees it. */
export const asScheduler = (manager: RunningManager) => createSchedulerManagerClient(targetOf(manager));
/** The manager as a daemon sees it. */
export const asDaemon = (manager: RunningManager) => createManagerClient(targetOf(manager));

export const schedulerNamed = (hostname: string, more: Partial<SchedulerRegistration> = {}): SchedulerRegistration => ({
  ...{ hostname, ip: '10.0.0.1', port: 8002, clusterId: 1, idc: '', location: '', features: ['schedule'] },
  ...{ keepAliveIntervalMs: 1_000, ...more },
});

/** Waits for what happens elsewhere. */
export async function eventually(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('it has not happened within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
