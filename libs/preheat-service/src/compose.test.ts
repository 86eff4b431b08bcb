import { migrateDatabase } from '@d7y/manager-db';
import { createLogger } from '@d7y/service-kit';
import { startTestDatabases, type TestDatabases } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startPreheatWorker } from './compose.ts';
import { readPreheatWorkerConfig } from './config/read-worker-config.ts';

/** What dashboards and alerts are made of: none may go, and a new one belongs here and in the README. */
const METRICS = [
  ...['dragonfly_preheat_worker_target_total', 'dragonfly_preheat_worker_jobs'],
  ...['started', 'handled', 'msg_received', 'msg_sent'].map((name) => `grpc_client_${name}_total`),
  ...['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds'],
];

let databases: TestDatabases;

beforeAll(async () => {
  databases = await startTestDatabases({ prepare: migrateDatabase });
}, 60_000);
afterAll(async () => {
  await databases?.[Symbol.asyncDispose]();
});

describe('a preheat worker', () => {
  it('says that it is ready, and has every metric', async () => {
    const { host, port, user, password, database } = await databases.create();
    const config = readPreheatWorkerConfig({
      text: `
database: { postgres: { host: ${host}, port: ${port}, user: ${user}, ${password === undefined ? '' : `password: '${password.reveal()}',`} dbname: ${database} } }
metrics: { host: 127.0.0.1, port: 0 }
worker: { grace: 1s }`,
      env: {},
    });
    await using worker = await startPreheatWorker(config, {
      signal: new AbortController().signal,
      overrides: { logger: createLogger({ name: 'test', level: 'silent' }) },
    });
    const get = async (path: string) => await fetch(`http://127.0.0.1:${worker.port}${path}`);
    expect((await get('/healthy')).status).toBe(200);
    expect(await (await get('/readyz')).text()).toContain('OK');
    const names = [...(await (await get('/metrics')).text()).matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
    expect(names).toEqual(expect.arrayContaining(METRICS));
    expect(names.filter((name) => name?.startsWith('dragonfly_') === true && !METRICS.includes(name))).toEqual([]);
  });
});
