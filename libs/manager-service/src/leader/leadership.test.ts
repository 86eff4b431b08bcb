import { openDatabase } from '@d7y/manager-db';
import { describe, expect, it } from '@jest/globals';
import { databasesOfTests, eventually, schedulerNamed, silent, asScheduler, startTestManager } from '../_rig.ts';
import { Leadership } from './leadership.ts';

const newDatabase = databasesOfTests();

describe('Leadership', () => {
  it('is one manager’s at a time, and goes over when that is gone', async () => {
    const address = await newDatabase();
    const runs: string[] = [];
    const candidate = async (name: string) => {
      const database = await openDatabase({ address });
      const tasks = [{ name: 'count', intervalMs: 5, run: async () => void runs.push(name) }];
      const leadership = new Leadership({ database, tasks, logger: silent, tryIntervalMs: 10 });
      const over = new AbortController();
      const running = leadership.run({ signal: over.signal });
      const stop = async () => {
        over.abort();
        await running;
        await database[Symbol.asyncDispose]();
      };
      return { leadership, database, stop };
    };
    const first = await candidate('first');
    await eventually(() => runs.length > 2);
    const second = await candidate('second');
    await eventually(() => runs.length > 10);
    expect([first.leadership.isLeader, second.leadership.isLeader]).toEqual([true, false]);
    expect(new Set(runs)).toEqual(new Set(['first']));
    await first.stop();
    await eventually(() => second.leadership.isLeader && runs.includes('second'));
    await second.stop();
  });

  it('is lost with the connection, and taken by whoever asks next', async () => {
    const address = await newDatabase();
    await using database = await openDatabase({ address });
    await using other = await openDatabase({ address });
    const leaderships = [database, other].map(
      (of) => new Leadership({ database: of, tasks: [], logger: silent, tryIntervalMs: 10 }),
    );
    const over = new AbortController();
    const running = leaderships.map((each) => each.run({ signal: over.signal }));
    const leaders = () => leaderships.filter(({ isLeader }) => isLeader);
    await eventually(() => leaders().length === 1);
    await using admin = await openDatabase({ address });
    for (let times = 0; times < 3; times++) {
      const before = leaders()[0];
      await admin.pool.query(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and pid <> pg_backend_pid()",
      );
      await eventually(() => before?.isLeader !== true || leaders().length === 1);
      await eventually(() => leaders().length === 1);
    }
    over.abort();
    await Promise.all(running);
    expect(leaders()).toEqual([]);
  });

  it('goes on with its other work when one of it fails', async () => {
    await using database = await openDatabase({ address: await newDatabase() });
    let works = 0;
    let failures = 0;
    const leadership = new Leadership({
      ...{ database, logger: silent, tryIntervalMs: 10 },
      tasks: [
        { name: 'fails', intervalMs: 5, run: async () => Promise.reject(new Error('not today')) },
        { name: 'works', intervalMs: 5, run: async () => void works++ },
      ],
      onRun: (_task, error) => void (error !== undefined && failures++),
    });
    const over = new AbortController();
    const running = leadership.run({ signal: over.signal });
    await eventually(() => works > 3 && failures > 3);
    over.abort();
    await running;
  });
});

describe('two managers side by side', () => {
  it('know the same schedulers, and one of them leads at any time', async () => {
    const address = await newDatabase();
    const [one, two] = await Promise.all([startTestManager(address), startTestManager(address)]);
    await eventually(() => one.isLeader !== two.isLeader);
    const registration = schedulerNamed('scheduler-1');
    const signal = AbortSignal.timeout(60_000);
    using here = asScheduler(one);
    using there = asScheduler(two);
    await here.register(registration, { signal });
    expect(JSON.parse((await there.getScheduler(registration, { signal })).clientConfig)).toMatchObject({
      load_limit: 200,
    });
    const [leader, other] = one.isLeader ? [one, two] : [two, one];
    await leader[Symbol.asyncDispose]();
    await eventually(() => other.isLeader);
    await other[Symbol.asyncDispose]();
  });
});
