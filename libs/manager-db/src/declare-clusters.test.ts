import { describe, expect, it } from '@jest/globals';
import { databasesOfTests, NOON } from './_database.ts';
import { declareClusters } from './declare-clusters.ts';
import { ClusterRepository } from './repositories/clusters.ts';
import { SchedulerClusterRepository } from './repositories/scheduler-clusters.ts';

const databases = databasesOfTests();
const declared = (id: number, name: string, isDefault = false) => ({ id, name, isDefault, scopes: {} });

describe('declareClusters', () => {
  it('makes what is missing, with seed peers, and leaves what is there', async () => {
    await using database = await databases.open();
    expect(await declareClusters(database, [declared(7, 'edge', true), declared(3, 'core')], NOON)).toEqual([
      'edge',
      'core',
    ]);
    const clusters = new SchedulerClusterRepository(database.db);
    await clusters.update(7, { bio: 'changed since' }, NOON);
    expect(await declareClusters(database, [declared(7, 'other'), declared(9, 'core')], NOON)).toEqual([]);
    expect(await clusters.all()).toMatchObject([
      { id: 3, name: 'core', isDefault: false },
      { id: 7, name: 'edge', bio: 'changed since', isDefault: true },
    ]);
    expect(await clusters.seedsOf(7)).toMatchObject([{ id: 7, name: 'edge', config: { load_limit: 2000 } }]);
  });

  it('has only one default, the last that says so', async () => {
    await using database = await databases.open();
    await declareClusters(database, [declared(1, 'a', true), declared(2, 'b', true)], NOON);
    const all = await new SchedulerClusterRepository(database.db).all();
    expect(all.filter(({ isDefault }) => isDefault).map(({ id }) => id)).toEqual([2]);
  });

  it('leaves ids to those that come later', async () => {
    await using database = await databases.open();
    await declareClusters(database, [declared(1, 'a'), declared(40, 'b')], NOON);
    const later = await database.transaction((tx) =>
      new ClusterRepository(tx).create(
        {
          ...{ name: 'later', bio: '', scopes: {}, isDefault: false },
          ...{ schedulerClusterConfig: {}, seedPeerClusterConfig: {}, peerClusterConfig: {} },
        },
        NOON,
      ),
    );
    expect(later.schedulers.id).toBe(41);
  });

  it('makes each once when replicas start at the same time', async () => {
    await using database = await databases.open();
    const clusters = [declared(1, 'a'), declared(2, 'b')];
    const made = await Promise.all([1, 2, 3].map(() => declareClusters(database, clusters, NOON)));
    expect(made.flat().sort()).toEqual(['a', 'b']);
  });
});
