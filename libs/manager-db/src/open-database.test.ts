import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { Secret, StartError } from '@d7y/service-kit';
import { eq, sql } from 'drizzle-orm';
import { databasesOfTests, NOON } from './_database.ts';
import { openDatabase } from './open-database.ts';
import { SchedulerClusterRepository } from './repositories/scheduler-clusters.ts';
import { schedulerClusters, users } from './schema/index.ts';
import { asked } from './translate-error.ts';

const databases = databasesOfTests();
const CLUSTER = { bio: '', config: {}, clientConfig: {}, seedClientConfig: {}, scopes: {}, isDefault: false };

describe('openDatabase', () => {
  it.each([
    ['nobody listens', { host: '127.0.0.1', port: 1 }, /at 127\.0\.0\.1:1 refuses connections: start it/],
    ['there is no socket', { host: '/nonexistent' }, /at \/nonexistent\/\.s\.PGSQL\.5432 refuses connections/],
    ['the name is wrong', { host: 'db.invalid' }, /the name db\.invalid has no address/],
    [
      'the password is wrong',
      { password: new Secret('wr0ng') },
      /refuses user dragonfly: .*correct user, password or TLS/,
    ],
    ['the database is missing', { database: 'nothere' }, /has no database nothere: create it with/],
  ])('says in one line what to do when %s', async (_, change, message) => {
    const address = { ...(await databases.address()), ...change };
    const opening = openDatabase({ address, patienceMs: 0 });
    await expect(opening).rejects.toThrow(StartError);
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.not.toThrow(/wr0ng/);
  });

  it('waits for a server that is not there yet', async () => {
    const address = await databases.address();
    // Something that hangs up at first, and is the server later.
    let calls = 0;
    const { connect } = await import('node:net');
    const door = createServer((client) => {
      if (calls++ < 2) {
        client.destroy();
        return;
      }
      const server = connect(`${address.host}/.s.PGSQL.${address.port}`);
      client.pipe(server).pipe(client);
      client.on('error', () => server.destroy());
      server.on('error', () => client.destroy());
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    const { port } = door.address() as AddressInfo;
    try {
      await using database = await openDatabase({ address: { ...address, host: '127.0.0.1', port } });
      await database.ping();
      expect(calls).toBeGreaterThan(2);
    } finally {
      door.close();
    }
  });

  it('stops waiting when told to', async () => {
    const stop = AbortSignal.abort(new Error('told to'));
    const address = { ...(await databases.address()), port: 1, host: '127.0.0.1' };
    await expect(openDatabase({ address, signal: stop })).rejects.toThrow('told to');
  });

  it('never opens more connections than it may, and serves everybody', async () => {
    await using database = await openDatabase({ address: await databases.address(), maxConnections: 2 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => database.pool.query('select pg_sleep(0.01)')));
    expect(answers).toHaveLength(20);
    expect(database.pool.totalCount).toBe(2);
  });

  it('ends a statement that takes too long', async () => {
    await using database = await openDatabase({ address: await databases.address(), statementTimeoutMs: 50 });
    await expect(asked(database.pool.query('select pg_sleep(20)'))).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      retryable: true,
    });
    await database.ping();
  });

  it('goes on after its connections were cut, and tells of those nobody used', async () => {
    const errors: Error[] = [];
    const address = await databases.address();
    await using database = await openDatabase({ address, onIdleError: (error) => errors.push(error) });
    await using other = await openDatabase({ address });
    await database.ping();
    await other.pool.query('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()'); // prettier-ignore
    const deadline = performance.now() + 20_000;
    while (errors.length === 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(errors).not.toEqual([]);
    await database.ping();
  });
});

describe('translateError', () => {
  it('tells what is taken, without the values', async () => {
    await using database = await databases.open();
    const clusters = new SchedulerClusterRepository(database.db);
    await clusters.create({ ...CLUSTER, name: 'pl4nt3d' }, NOON);
    const again = clusters.create({ ...CLUSTER, name: 'pl4nt3d' }, NOON);
    await expect(again).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: 'scheduler cluster exists already',
      constraint: 'scheduler_cluster_name_unique',
    });
    await expect(again.catch(String)).resolves.not.toContain('pl4nt3d');
  });

  it('tells a value that is too long from one that is missing', async () => {
    await using database = await databases.open();
    const { db } = database;
    await expect(asked(db.insert(users).values({ name: 'x'.repeat(300) }))).rejects.toMatchObject({
      code: 'INVALID_VALUE',
    });
    await expect(asked(db.execute(sql`insert into users (bio) values ('')`))).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      message: expect.stringContaining('users.name'),
    });
  });

  it('keeps to itself what a statement of this program had wrong', async () => {
    await using database = await databases.open();
    await expect(asked(database.db.execute(sql`select ${'pl4nt3d'} from nowhere`))).rejects.toMatchObject({
      code: 'DATABASE_STATEMENT',
      message: expect.not.stringContaining('pl4nt3d'),
    });
  });
});

describe('transaction', () => {
  it('leaves nothing behind when it fails', async () => {
    await using database = await databases.open();
    const failing = database.transaction(async (tx) => {
      await new SchedulerClusterRepository(tx).create({ ...CLUSTER, name: 'gone' }, NOON);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await database.db.select().from(schedulerClusters)).toEqual([]);
  });

  it('runs again what was the victim of a deadlock', async () => {
    await using database = await databases.open();
    const clusters = new SchedulerClusterRepository(database.db);
    const ids = [
      (await clusters.create({ ...CLUSTER, name: 'a' }, NOON)).id,
      (await clusters.create({ ...CLUSTER, name: 'b' }, NOON)).id,
    ];
    let runs = 0;
    const bothHaveOne = Promise.withResolvers<void>();
    let holders = 0;
    const crossing = (order: readonly number[]) =>
      database.transaction(async (tx) => {
        runs++;
        for (const id of order) {
          await tx
            .update(schedulerClusters)
            .set({ bio: String(order) })
            .where(eq(schedulerClusters.id, id));
          if (++holders === 2) bothHaveOne.resolve();
          await bothHaveOne.promise;
        }
      });
    await Promise.all([crossing(ids), crossing(ids.toReversed())]);
    expect(runs).toBe(3);
  });
});
