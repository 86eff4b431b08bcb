import { describe, expect, it } from '@jest/globals';
import { after, databasesOfTests, NOON } from '../_database.ts';
import { readClusterSet, readClusterVersion } from './cluster-set.ts';
import { ClusterRepository } from './clusters.ts';
import { isActive } from './keep-alive.ts';
import { SchedulerClusterRepository } from './scheduler-clusters.ts';
import { SchedulerRepository } from './schedulers.ts';
import { SeedPeerClusterRepository } from './seed-peer-clusters.ts';
import { SeedPeerRepository } from './seed-peers.ts';

const databases = databasesOfTests();
const ALL = { offset: 0, limit: 100 };
const cluster = (name: string, isDefault = false) => ({
  ...{ name, bio: '', scopes: {}, isDefault, schedulerClusterConfig: {} },
  seedPeerClusterConfig: { load_limit: 10, block_list: { task: { download: { tags: ['x'] } } } },
  peerClusterConfig: {},
});
const scheduler = (hostName: string, schedulerClusterId: number, ip = '10.0.0.1') => ({
  ...{ hostName, ip, port: 8002, idc: '', location: '', config: {}, features: ['schedule'], schedulerClusterId },
  keepAliveIntervalMs: 5000,
});

describe('ClusterRepository', () => {
  it('writes and reads both halves as one', async () => {
    await using database = await databases.open();
    const clusters = new ClusterRepository(database.db);
    const made = await database.transaction((tx) => new ClusterRepository(tx).create(cluster('a'), NOON));
    expect(made.schedulers).toMatchObject({
      id: 1,
      seedClientConfig: { block_list: { task: { download: { tags: ['x'] } } } },
    });
    expect(await clusters.get(1)).toEqual(made);
    const changed = await clusters.update(1, { bio: 'new', seedPeerClusterConfig: { load_limit: 20 } }, after(1));
    expect(changed.schedulers).toMatchObject({
      name: 'a',
      bio: 'new',
      seedClientConfig: {},
      updatedAt: after(1),
      createdAt: NOON,
    });
    expect(changed.seeds).toMatchObject({ name: 'a', bio: 'new', config: { load_limit: 20 } });
    await clusters.create(cluster('b'), NOON);
    expect(await clusters.page({}, { offset: 1, limit: 5 })).toMatchObject({
      total: 2,
      rows: [{ schedulers: { name: 'a' } }],
    });
    expect(await clusters.page({ name: 'nobody' }, ALL)).toEqual({ total: 0, rows: [] });
    await clusters.remove(1);
    await expect(clusters.get(1)).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'there is no cluster 1' });
    expect((await new SeedPeerClusterRepository(database.db).page({}, ALL)).rows).toMatchObject([{ name: 'b' }]);
  });

  it('has one default at most, and can be without', async () => {
    await using database = await databases.open();
    const clusters = new ClusterRepository(database.db);
    await clusters.create(cluster('a', true), NOON);
    await clusters.create(cluster('b', true), NOON);
    const defaults = async () =>
      (await clusters.page({}, ALL)).rows
        .filter(({ schedulers }) => schedulers.isDefault)
        .map(({ schedulers }) => schedulers.name);
    expect(await defaults()).toEqual(['b']);
    await clusters.update(1, { isDefault: true }, NOON);
    expect(await defaults()).toEqual(['a']);
    await clusters.update(1, { bio: 'x' }, NOON);
    expect(await defaults()).toEqual(['a']);
    await clusters.update(1, { isDefault: false }, NOON);
    expect(await defaults()).toEqual([]);
  });

  it('does not go while a scheduler belongs to it', async () => {
    await using database = await databases.open();
    const clusters = new ClusterRepository(database.db);
    const { schedulers } = await clusters.create(cluster('a'), NOON);
    await new SchedulerRepository(database.db).register(scheduler('s', schedulers.id), NOON);
    const removing = database.transaction((tx) => new ClusterRepository(tx).remove(schedulers.id));
    await expect(removing).rejects.toMatchObject({
      code: 'STILL_IN_USE',
      message: 'it cannot be removed while a scheduler belongs to it',
    });
    expect((await clusters.get(schedulers.id)).seeds).toBeDefined();
  });

  it('is served by exactly the seed peers it was linked with last', async () => {
    await using database = await databases.open();
    const [clusters, seeds] = [new SchedulerClusterRepository(database.db), new SeedPeerClusterRepository(database.db)];
    await new ClusterRepository(database.db).create(cluster('a'), NOON);
    const other = await seeds.create({ name: 'other', bio: '', config: {} }, NOON);
    await database.transaction((tx) => new SchedulerClusterRepository(tx).linkSeeds(1, other.id));
    expect(await clusters.seedsOf(1)).toMatchObject([{ name: 'other' }]);
    expect(await seeds.servedBy(other.id)).toMatchObject([{ name: 'a' }]);
    await expect(clusters.linkSeeds(1, 4711)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });
});

describe('SchedulerRepository', () => {
  it('counts a scheduler as active for three intervals after it was heard', async () => {
    await using database = await databases.open();
    await new ClusterRepository(database.db).create(cluster('a'), NOON);
    const schedulers = new SchedulerRepository(database.db);
    const identity = { hostName: 's', ip: '10.0.0.1', clusterId: 1 };
    expect(await schedulers.keepAlive(identity, NOON)).toBe(false);
    await schedulers.register(scheduler('s', 1), NOON);
    const state = async (at: Date) =>
      isActive((await schedulers.findByIdentity(identity)) ?? { activeUntil: null }, at);
    expect([await state(after(14_999)), await state(after(15_000))]).toEqual([true, false]);
    expect((await schedulers.page({ state: 'active' }, ALL, after(15_000))).total).toBe(0);
    expect((await schedulers.page({ state: 'inactive' }, ALL, after(15_000))).total).toBe(1);
    expect(await schedulers.keepAlive(identity, after(60_000))).toBe(true);
    expect([await state(after(74_999)), await state(after(75_000))]).toEqual([true, false]);
  });

  it('lets the end of a stream shorten that, unless another stream goes on', async () => {
    await using database = await databases.open();
    await new ClusterRepository(database.db).create(cluster('a'), NOON);
    const schedulers = new SchedulerRepository(database.db);
    const identity = { hostName: 's', ip: '10.0.0.1', clusterId: 1 };
    await schedulers.register(scheduler('s', 1), NOON);
    await schedulers.keepAlive(identity, after(1_000));
    await schedulers.keepAliveEnded(identity, NOON, after(1_100)); // an older one than the last that was heard
    expect((await schedulers.findByIdentity(identity))?.activeUntil).toEqual(after(16_000));
    await schedulers.keepAliveEnded(identity, after(1_000), after(1_200));
    expect((await schedulers.findByIdentity(identity))?.activeUntil).toEqual(after(6_200));
    await schedulers.keepAliveEnded(identity, after(1_000), after(5_000)); // never lengthens
    expect((await schedulers.findByIdentity(identity))?.activeUntil).toEqual(after(6_200));
  });

  it('knows a scheduler again, and replaces one that moved to another address once that is silent', async () => {
    await using database = await databases.open();
    await new ClusterRepository(database.db).create(cluster('a'), NOON);
    const schedulers = new SchedulerRepository(database.db);
    const first = await schedulers.register(scheduler('s', 1), NOON);
    const again = await schedulers.register({ ...scheduler('s', 1), port: 9002 }, after(1_000));
    expect(again).toMatchObject({ id: first.id, port: 9002, createdAt: NOON });
    await schedulers.register(scheduler('s', 1, '10.0.0.2'), after(2_000));
    expect(await schedulers.ofCluster(1)).toHaveLength(2);
    await schedulers.register(scheduler('s', 1, '10.0.0.2'), after(60_000));
    expect(await schedulers.ofCluster(1)).toMatchObject([{ ip: '10.0.0.2' }]);
    await expect(schedulers.register(scheduler('s', 4711), NOON)).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
    });
  });

  it('removes who has been silent for long, a few at a time', async () => {
    await using database = await databases.open();
    await new ClusterRepository(database.db).create(cluster('a'), NOON);
    const schedulers = new SchedulerRepository(database.db);
    for (const host of ['s1', 's2', 's3']) await schedulers.register(scheduler(host, 1), NOON);
    await schedulers.register(scheduler('s4', 1), after(3_600_000));
    expect(await schedulers.removeInactiveSince(after(3_000_000), 2)).toBe(2);
    expect(await schedulers.removeInactiveSince(after(3_000_000), 2)).toBe(1);
    expect(await schedulers.ofCluster(1)).toMatchObject([{ hostName: 's4' }]);
  });
});

describe('readClusterSet', () => {
  it('gives every cluster with the services that are active, and when the first of them ends', async () => {
    await using database = await databases.open();
    await new ClusterRepository(database.db).create(cluster('a'), NOON);
    await new ClusterRepository(database.db).create(cluster('b'), NOON);
    await new SchedulerRepository(database.db).register(scheduler('s1', 1), after(2_000));
    await new SchedulerRepository(database.db).register(scheduler('silent', 1), after(-60_000));
    await new SeedPeerRepository(database.db).register(
      {
        ...{ hostName: 'seed', type: 'super', ip: '10.0.0.9', port: 4000, downloadPort: 4001, objectStoragePort: 0 },
        ...{ idc: '', location: '', seedPeerClusterId: 1, keepAliveIntervalMs: 1_000 },
      },
      after(2_000),
    );
    expect(await readClusterSet(database, after(3_000))).toMatchObject({
      version: await readClusterVersion(database.db),
      clusters: [
        {
          cluster: { name: 'a' },
          schedulers: [{ hostName: 's1' }],
          seedPeerClusters: [{ id: 1 }],
          seedPeers: [{ hostName: 'seed' }],
        },
        { cluster: { name: 'b' }, schedulers: [], seedPeerClusters: [{ id: 2 }], seedPeers: [] },
      ],
      firstEndsAt: after(5_000),
    });
    expect((await readClusterSet(database, after(60_000))).firstEndsAt).toBeUndefined();
  });

  it('has another version after each change, and after no keep-alive that changes nothing', async () => {
    await using database = await databases.open();
    const { db } = database;
    let last = await readClusterVersion(db);
    const grows = async (change: () => Promise<unknown>) => {
      await change();
      const version = await readClusterVersion(db);
      const grown = version > last;
      last = version;
      return grown;
    };
    const schedulers = new SchedulerRepository(db);
    const identity = { hostName: 's', ip: '10.0.0.1', clusterId: 1 };
    expect(await grows(() => new ClusterRepository(db).create(cluster('a'), NOON))).toBe(true);
    expect(await grows(() => schedulers.register(scheduler('s', 1), NOON))).toBe(true);
    expect(await grows(() => schedulers.keepAlive(identity, after(5_000)))).toBe(false);
    expect(await grows(() => schedulers.keepAliveEnded(identity, after(5_000), after(5_100)))).toBe(true);
    expect(await grows(() => schedulers.keepAlive(identity, after(60_000)))).toBe(true); // it was inactive
    expect(await grows(() => schedulers.register(scheduler('s', 1), after(61_000)))).toBe(false);
    expect(await grows(() => schedulers.register({ ...scheduler('s', 1), port: 9 }, after(61_000)))).toBe(true);
    expect(await grows(() => new SchedulerClusterRepository(db).update(1, { bio: 'x' }, NOON))).toBe(true);
    expect(await grows(() => new SeedPeerClusterRepository(db).update(1, { bio: 'x' }, NOON))).toBe(true);
    expect(await grows(() => schedulers.remove(1))).toBe(true);
    expect(await grows(() => new ClusterRepository(db).remove(1))).toBe(true);
  });

  it('lets changes of different clusters meet at the counter without a deadlock', async () => {
    await using database = await databases.open();
    for (const name of ['a', 'b', 'c', 'd']) await new ClusterRepository(database.db).create(cluster(name), NOON);
    let runs = 0;
    const change = (ids: readonly number[]) =>
      database.transaction(async (tx) => {
        runs++;
        for (const id of ids) await new SchedulerClusterRepository(tx).update(id, { bio: String(ids) }, NOON);
      });
    // Each has changed a cluster, and is about to change another one.
    await Promise.all([change([1, 2]), change([3, 4]), change([1, 2]), change([3, 4])]);
    expect(runs).toBe(4);
  });
});
