import { describe, expect, it } from '@jest/globals';
import { PIECES_PER_TASK, VirtualCluster } from './_virtual-cluster.ts';
import type { VirtualDaemon } from './_virtual-cluster.ts';
import type { SwarmOptions } from './swarm-options.ts';

function crowd(
  cluster: VirtualCluster,
  count: number,
  more: Parameters<VirtualCluster['addHost']>[1] = {},
): VirtualDaemon[] {
  return Array.from({ length: count }, (_, index) => cluster.addHost(`10.0.0.${index}`, more));
}
const addSeed = (cluster: VirtualCluster, name = '10.1.0.1'): VirtualDaemon => cluster.addHost(name, { kind: 'seed' });
const start = (options: Partial<SwarmOptions> = {}): VirtualCluster => new VirtualCluster(options);
const allDone = (daemons: readonly VirtualDaemon[]): boolean => daemons.every(({ isDone }) => isDone);

describe('a cold crowd', () => {
  it.each([true, false])('gets everything from one seed that fetches once (own daemons: %s)', (isOwn) => {
    const cluster = start();
    addSeed(cluster);
    const daemons = crowd(cluster, 50, { isOwn });
    cluster.run(10);
    for (const daemon of daemons) cluster.pull(daemon);
    cluster.run(30_000);
    expect(allDone(daemons)).toBe(true);
    expect(cluster.triggers).toEqual(['10.1.0.1']);
    expect(cluster.grants).toEqual(['10.1.0.1']);
    expect(cluster.originPieces).toBe(PIECES_PER_TASK);
    for (const { answers } of daemons) {
      expect(answers[0]?.kind).toBe('offerParents');
      if (!isOwn) expect(answers).toHaveLength(1);
    }
  });

  it('without a seed gives the lease to one child and the others to each other', () => {
    const cluster = start();
    const daemons = crowd(cluster, 50);
    for (const daemon of daemons) cluster.pull(daemon);
    cluster.run(30_000);
    expect(allDone(daemons)).toBe(true);
    expect(cluster.grants).toHaveLength(1);
    expect(cluster.originPieces).toBe(PIECES_PER_TASK);
  });

  it('offers our daemons up to sixteen neighbours and stock ones three', () => {
    const cluster = start();
    addSeed(cluster);
    const own = crowd(cluster, 20);
    const stock = Array.from({ length: 20 }, (_, index) => cluster.addHost(`10.2.0.${index}`, { isOwn: false }));
    cluster.run(10);
    for (const daemon of [...own, ...stock]) cluster.pull(daemon);
    cluster.run(3000);
    const widest = (daemons: VirtualDaemon[]): number => Math.max(...daemons.map(({ parents }) => parents.length));
    expect(widest(stock)).toBe(3);
    expect(widest(own)).toBe(16);
    expect(own.every(({ parents }) => parents.length >= 3)).toBe(true);
  });

  it('waits for a seed that has announced itself but not yet passed its health check', () => {
    const cluster = start();
    addSeed(cluster);
    const daemon = cluster.addHost('10.0.0.1');
    cluster.pull(daemon);
    cluster.run(5000);
    expect(cluster.grants).toEqual(['10.1.0.1']);
    expect(daemon.isDone).toBe(true);
  });

  it('gives seeds a moment to announce themselves after the scheduler has started', () => {
    const cluster = start({ settleMs: 2000 });
    const early = cluster.addHost('10.0.0.1');
    cluster.pull(early);
    cluster.run(1000);
    expect(cluster.grants).toEqual([]);
    addSeed(cluster);
    cluster.run(5000);
    expect(cluster.grants).toEqual(['10.1.0.1']);
    expect(early.isDone).toBe(true);

    const alone = start({ settleMs: 2000 });
    alone.pull(alone.addHost('10.0.0.1'));
    alone.run(2100);
    expect(alone.grants).toEqual(['10.0.0.1']);
  });
});

describe('a death', () => {
  it('of the seed half-way costs no pull and little of the origin', () => {
    const cluster = start();
    const seed = addSeed(cluster);
    const daemons = crowd(cluster, 20);
    cluster.run(10);
    for (const daemon of daemons) cluster.pull(daemon);
    cluster.run(600);
    expect(seed.pieces.size).toBeGreaterThan(5);
    expect(seed.pieces.size).toBeLessThan(15);
    const held = seed.pieces.size;
    cluster.kill(seed);
    cluster.run(60_000);
    expect(allDone(daemons)).toBe(true);
    expect(cluster.originPieces).toBeLessThanOrEqual(PIECES_PER_TASK + held);
    expect(cluster.grants).toHaveLength(2);
  });

  it('of the seed before its first piece moves the task to the next seed', () => {
    const cluster = start();
    const seeds = [addSeed(cluster, '10.1.0.1'), addSeed(cluster, '10.1.0.2')];
    const daemons = crowd(cluster, 5);
    cluster.run(10);
    const probe = cluster.swarm;
    for (const daemon of daemons) cluster.pull(daemon);
    const first = probe.task('task')?.fetch;
    const victim = seeds.find(({ facts }) => first?.kind === 'seedTriggered' && facts.id === first.seedHostId);
    if (victim === undefined) throw new Error('no seed was triggered');
    victim.isAlive = false;
    cluster.run(10_000);
    expect(new Set(cluster.triggers).size).toBe(2);
    expect(cluster.grants).toEqual(seeds.filter((seed) => seed !== victim).map(({ facts }) => facts.id));
    expect(allDone(daemons)).toBe(true);
  });

  it('of the leaseholder passes the lease on', () => {
    const cluster = start();
    const daemons = crowd(cluster, 10);
    for (const daemon of daemons) cluster.pull(daemon);
    cluster.run(300);
    const holder = daemons.find(({ isAtOrigin }) => isAtOrigin);
    if (holder === undefined) throw new Error('nobody got the lease');
    cluster.kill(holder);
    cluster.run(60_000);
    expect(allDone(daemons.filter((daemon) => daemon !== holder))).toBe(true);
    expect(new Set(cluster.grants).size).toBe(2);
  });

  it('of a scheduler makes the next one take leaseholders and copies as they are', () => {
    const cluster = start({ settleMs: 2000 });
    addSeed(cluster);
    const daemons = crowd(cluster, 20);
    cluster.run(10);
    for (const daemon of daemons) cluster.pull(daemon);
    cluster.run(500);
    cluster.restartScheduler();
    cluster.run(30_000);
    expect(allDone(daemons)).toBe(true);
    expect(cluster.originPieces).toBe(PIECES_PER_TASK);
    const late = cluster.addHost('10.3.0.1');
    cluster.pull(late);
    cluster.run(5000);
    expect(late.isDone).toBe(true);
    expect(cluster.originPieces).toBe(PIECES_PER_TASK);
  });
});

describe('a private task', () => {
  it('is fetched by the first that has credentials, and no seed hears of it', () => {
    const cluster = start();
    addSeed(cluster);
    const daemons = crowd(cluster, 10, { priority: 3 });
    const anonymous = cluster.addHost('10.4.0.1');
    cluster.run(10);
    for (const daemon of daemons) cluster.pull(daemon);
    cluster.pull(anonymous);
    cluster.run(20_000);
    expect(cluster.triggers).toEqual([]);
    expect(cluster.grants).toEqual(['10.0.0.0']);
    expect(allDone([...daemons, anonymous])).toBe(true);
    expect(cluster.originPieces).toBe(PIECES_PER_TASK);
  });

  it('goes to a peer with credentials when the lease comes free, although others wait longer', () => {
    const cluster = start();
    const [holder, ...rest] = crowd(cluster, 3, { priority: 3 });
    const anonymous = cluster.addHost('10.4.0.1');
    if (holder === undefined || rest[0] === undefined) throw new Error('no hosts');
    holder.isAlive = false;
    cluster.pull(holder);
    cluster.pull(anonymous);
    cluster.pull(rest[0]);
    cluster.run(100);
    cluster.carryOut(cluster.swarm.hostLeft(holder.facts.id, cluster.nowMs));
    cluster.run(20_000);
    expect(cluster.grants).toEqual([rest[0].facts.id]);
  });
});
