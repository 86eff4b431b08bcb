import { AuditRepository, openDatabase, SchedulerRepository, SeedPeerRepository } from '@d7y/manager-db';
import { describe, expect, it } from '@jest/globals';
import { databasesOfTests, schedulerNamed, silent, startTestManager } from '../_rig.ts';
import { retentionTasks } from './retention.ts';

const newDatabase = databasesOfTests();
const { signal } = new AbortController();
const HOUR_MS = 3_600_000;

describe('retentionTasks', () => {
  it('remove who has been gone for long, and old audits, and nothing else', async () => {
    const address = await newDatabase();
    // Makes the first cluster.
    await (await startTestManager(address))[Symbol.asyncDispose]();
    await using database = await openDatabase({ address });
    const nowMs = Date.now();
    const before = (ms: number) => new Date(nowMs - ms);
    const schedulers = new SchedulerRepository(database.db);
    const seeds = new SeedPeerRepository(database.db);
    const audits = new AuditRepository(database.db);
    const service = (name: string) => {
      const { ip, port, idc, location } = schedulerNamed(name);
      return { hostName: name, ip, port, idc, location, keepAliveIntervalMs: 1_000 };
    };
    for (const [name, goneMs] of [
      ['gone', HOUR_MS],
      ['there', 0],
    ] as const) {
      await schedulers.register({ ...service(name), schedulerClusterId: 1, features: [], config: {} }, before(goneMs));
      const seed = { type: 'super', downloadPort: 4000, objectStoragePort: 0, seedPeerClusterId: 1 };
      await seeds.register({ ...service(name), ...seed }, before(goneMs));
      const entry = {
        actorType: 'USER',
        actorName: name,
        operation: 'GET',
        state: 'SUCCESS',
        path: '/',
        statusCode: 200,
      };
      await audits.add(
        [{ ...entry, eventType: 'API', detail: {}, operatedAt: before(goneMs) } as never],
        before(8 * goneMs * 24),
      );
    }
    const tasks = retentionTasks({
      ...{ database, clock: () => nowMs, logger: silent },
      config: {
        job: { retention: HOUR_MS } as never,
        audit: { retention: 7 * 24 * HOUR_MS },
        schedulers: { retention: HOUR_MS / 2 },
        taskHistory: { retention: HOUR_MS, interval: HOUR_MS, maxTasks: 1 },
      },
    });
    for (const task of tasks) await task.run({ signal });
    const namesOf = (rows: readonly { hostName: string }[]) => rows.map(({ hostName }) => hostName);
    expect(namesOf(await schedulers.ofCluster(1))).toEqual(['there']);
    expect(namesOf(await seeds.ofCluster(1))).toEqual(['there']);
    const { rows } = await audits.page({}, { offset: 0, limit: 10 });
    expect(rows.map(({ actorName }) => actorName)).toEqual(['there']);
  });
});
