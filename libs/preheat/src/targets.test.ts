import { seedRing } from '@d7y/swarm';
import { describe, expect, it } from '@jest/globals';
import { chooseTargets, inFetchOrder, type PreheatHost, type TargetChoice } from './targets.ts';

const host = (kind: PreheatHost['kind'], number: number): PreheatHost => ({
  id: `10.0.0.${number}-${kind}-${number}`,
  kind,
  ip: `10.0.0.${number}`,
  port: 4000,
});
const HOSTS = [host('seed', 1), host('normal', 2), host('seed', 3), host('normal', 4), host('normal', 5)];
const choice = (scope: TargetChoice['scope'], restriction: Partial<TargetChoice> = {}): TargetChoice => ({
  scope,
  ...{ ips: [], count: undefined, percentage: undefined, ...restriction },
});
const chosen = (one: TargetChoice): readonly number[] =>
  chooseTargets(HOSTS, one).map(({ ip }) => Number(ip.split('.').pop()));

describe('chooseTargets', () => {
  it('takes seeds for the scopes of seeds, and everybody else for all_peers', () => {
    expect(chosen(choice('single_seed_peer'))).toEqual([1, 3]);
    expect(chosen(choice('all_seed_peers'))).toEqual([1, 3]);
    expect(chosen(choice('all_peers'))).toEqual([2, 4, 5]);
  });

  it('restricts by addresses before a number before a percentage, of which one is always left', () => {
    expect(chosen(choice('all_peers', { ips: ['10.0.0.5', '10.0.0.1'], count: 1, percentage: 1 }))).toEqual([5]);
    expect(chosen(choice('all_peers', { count: 2, percentage: 1 }))).toEqual([2, 4]);
    expect(chosen(choice('all_peers', { percentage: 67 }))).toEqual([2, 4]);
    expect(chosen(choice('all_peers', { percentage: 1 }))).toEqual([2]);
  });

  it('does not restrict a single seed', () => {
    expect(chosen(choice('single_seed_peer', { ips: ['10.0.0.3'], count: 1 }))).toEqual([1, 3]);
  });

  it('says whom it looked for in vain', () => {
    expect(() => chooseTargets([host('normal', 1)], choice('all_seed_peers'))).toThrow('no seed is known here');
    expect(() => chooseTargets(HOSTS, choice('all_peers', { ips: ['10.0.0.9'] }))).toThrow(
      'one of the given addresses',
    );
  });
});

describe('inFetchOrder', () => {
  it('asks the seed first that the ring of a scheduler picks for the task', () => {
    const seeds = Array.from({ length: 5 }, (_, number) => host('seed', number));
    for (const taskId of ['a', 'b', 'c', 'd']) {
      const order = inFetchOrder(seeds, 'single_seed_peer', taskId).map(({ ip, port }) => `${ip}:${port}`);
      expect(order).toEqual(seedRing(seeds.map(({ ip, port }) => `${ip}:${port}`)).ordered(taskId));
    }
  });

  it('spreads the fetching of many tasks over the daemons', () => {
    const daemons = Array.from({ length: 8 }, (_, number) => host('normal', number));
    const firsts = new Set(
      Array.from({ length: 64 }, (_, task) => inFetchOrder(daemons, 'all_peers', `task-${task}`)[0]?.id),
    );
    expect(firsts.size).toBeGreaterThan(5);
  });
});
