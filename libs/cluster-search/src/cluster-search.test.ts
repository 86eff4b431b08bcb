import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ClusterSearch } from './cluster-search.ts';
import type { CompilePatterns, Scopes, SearchedCluster, Seeker } from './cluster-search.ts';

/** Patterns by the engine of the language: fine for what a test says. */
const compilePatterns: CompilePatterns = (texts) => {
  const rejected = new Map<number, string>();
  const compiled = texts.map((text, index) => {
    try {
      return new RegExp(text);
    } catch (error) {
      rejected.set(index, String(error));
      return undefined;
    }
  });
  return { foundIn: (text) => [...compiled.keys()].filter((index) => compiled[index]?.test(text)), rejected };
};

const NOWHERE: Scopes = { idc: '', location: '', cidrs: [], hostnames: [] };
const cluster = (id: number, scopes: Partial<Scopes> = {}, isDefault = false): SearchedCluster => ({
  ...{ id, isDefault },
  scopes: { ...NOWHERE, ...scopes },
});
const DAEMON: Seeker = { hostname: 'node-7.example', ip: '10.1.2.3', idc: 'east', location: 'asia|cn|hz' };
const totals = (clusters: readonly SearchedCluster[], seeker: Seeker = DAEMON) =>
  new ClusterSearch(clusters, compilePatterns).rank(seeker).map(({ clusterId, total }) => [clusterId, total]);
const totalOf = (scopes: Partial<Scopes>, seeker: Partial<Seeker> = {}): number | undefined =>
  totals([cluster(1, scopes)], { ...DAEMON, ...seeker })[0]?.[1];

describe('ClusterSearch', () => {
  it('weighs network, host name, data centre, place and default as published', () => {
    expect(totalOf({ cidrs: ['192.168.0.0/16', '10.0.0.0/8'] })).toBe(0.3);
    expect(totalOf({ hostnames: ['^x', 'node-[0-9]'] })).toBe(0.3);
    expect(totalOf({ idc: 'EAST' })).toBe(0.25);
    expect(totalOf({ location: 'Asia|CN|HZ' })).toBe(0.14);
    expect(totals([cluster(1, {}, true)])).toEqual([[1, 0.01]]);
    expect(
      totals([cluster(1, { cidrs: ['10.0.0.0/8'], hostnames: ['node'], idc: 'east', location: 'asia|cn|hz' }, true)]),
    ).toEqual([[1, 1]]);
  });

  it('finds a data centre among several, but not several in one', () => {
    expect(totalOf({ idc: 'west|East' })).toBe(0.25);
    expect(totalOf({ idc: 'west|East' }, { idc: 'WEST|east' })).toBe(0.25);
    expect(totalOf({ idc: 'east' }, { idc: 'east|west' })).toBe(0);
    expect(totalOf({ idc: 'easter' })).toBe(0);
  });

  it('counts how many parts of the place agree, of five', () => {
    expect(totalOf({ location: 'asia' })).toBe(0.028);
    expect(totalOf({ location: 'asia|cn|bj' })).toBe(0.056);
    expect(totalOf({ location: 'europe|cn|hz' })).toBe(0);
    expect(totalOf({ location: 'a|b|c|d|e|f' }, { location: 'a|b|c|d|e|g' })).toBe(0.14);
  });

  it('gives nothing for what nobody said', () => {
    expect(totalOf({}, { idc: '', location: '' })).toBe(0);
    expect(totalOf({ idc: '|', location: '' }, { idc: '', location: undefined })).toBe(0);
    expect(totalOf({ location: '' }, { location: '' })).toBe(0);
  });

  it('takes IPv4 in the clothes of IPv6 for what it is', () => {
    expect(totalOf({ cidrs: ['10.0.0.0/8'] }, { ip: '::ffff:10.1.2.3' })).toBe(0.3);
    expect(totalOf({ cidrs: ['2001:db8::/32'] }, { ip: '2001:db8:1::1' })).toBe(0.3);
    expect(totalOf({ cidrs: ['::/0'] })).toBe(0);
  });

  it('passes over what it does not understand, and says so', () => {
    const search = new ClusterSearch(
      [cluster(4, { cidrs: ['10/8', '10.0.0.0/8'], hostnames: ['(', 'node'] })],
      compilePatterns,
    );
    expect(search.rank(DAEMON)[0]).toMatchObject({ cidr: 1, hostname: 1 });
    expect(search.problems).toMatchObject([
      { clusterId: 4, field: 'cidrs', value: '10/8' },
      { clusterId: 4, field: 'hostnames', value: '(' },
    ]);
  });

  it('names all clusters, the best first and the lower id among equals', () => {
    const clusters = [cluster(9), cluster(2), cluster(5, { idc: 'east' }), cluster(7, {}, true), cluster(3)];
    expect(totals(clusters)).toEqual([
      [5, 0.25],
      [7, 0.01],
      [2, 0],
      [3, 0],
      [9, 0],
    ]);
  });

  const words = fc.constantFrom('', 'a', 'A', 'b', 'a|b', 'b|a', 'a|b|c', 'c');
  const someScopes = fc.record({
    idc: words,
    location: words,
    cidrs: fc.array(fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '::/0', 'x', '0.0.0.0/0'), { maxLength: 3 }),
    hostnames: fc.array(fc.constantFrom('a', '^b', '(', 'c$'), { maxLength: 3 }),
  });
  const seekers = fc.record({
    hostname: fc.constantFrom('a', 'b', 'abc', 'x'),
    ip: fc.constantFrom('10.1.0.1', '10.2.0.1', '::1', '::ffff:10.1.0.1', 'none'),
    idc: fc.option(words, { nil: undefined }),
    location: fc.option(words, { nil: undefined }),
  });
  const someClusters = fc
    .array(fc.record({ scopes: someScopes, isDefault: fc.boolean() }), { maxLength: 8 })
    .map((list) => list.map((rest, index) => ({ id: index + 1, ...rest })));

  it('depends neither on the order of clusters nor on whether others are there', () => {
    fc.assert(
      fc.property(someClusters, seekers, (clusters, seeker) => {
        const together = totals(clusters, seeker);
        expect(totals([...clusters].reverse(), seeker)).toEqual(together);
        const alone = clusters
          .flatMap((one) => totals([one], seeker))
          .sort(([left = 0, one = 0], [right = 0, other = 0]) => other - one || left - right);
        expect(together).toEqual(alone);
      }),
    );
  });

  it('gives the order alone as the scores have it, and the same key only to the same order', () => {
    fc.assert(
      fc.property(someClusters, fc.array(seekers, { maxLength: 5 }), (clusters, asking) => {
        const search = new ClusterSearch(clusters, compilePatterns);
        const known = new Map<string, readonly number[]>();
        for (const seeker of asking) {
          const ranked = search.rank(seeker).map(({ clusterId }) => clusterId);
          const order = search.order(seeker);
          expect(order.clusterIds()).toEqual(ranked);
          expect(known.get(order.key) ?? ranked).toEqual(ranked);
          known.set(order.key, ranked);
        }
      }),
    );
  });

  it('gives daemons one key that have the same clusters in common, wherever they are', () => {
    const clusters = [cluster(1, {}, true), cluster(2, { cidrs: ['10.0.0.0/8'] }), cluster(3, { idc: 'east' })];
    const search = new ClusterSearch(clusters, compilePatterns);
    const { key } = search.order(DAEMON);
    expect(search.order({ ...DAEMON, hostname: 'another', ip: '10.9.9.9', location: 'europe' }).key).toBe(key);
    expect(search.order({ ...DAEMON, ip: '192.168.0.1' }).key).not.toBe(key);
  });

  it('is the weighted sum of what it says, between 0 and 1', () => {
    fc.assert(
      fc.property(someClusters, seekers, (clusters, seeker) => {
        for (const score of new ClusterSearch(clusters, compilePatterns).rank(seeker)) {
          const { cidr, hostname, idc, location, total } = score;
          expect(total).toBeCloseTo(
            0.3 * cidr + 0.3 * hostname + 0.25 * idc + 0.14 * location + 0.01 * score.default,
            10,
          );
          for (const part of [cidr, hostname, idc, location, score.default, total]) {
            expect(part).toBeGreaterThanOrEqual(0);
            expect(part).toBeLessThanOrEqual(1);
          }
        }
      }),
    );
  });

  it('never likes a cluster less for saying more', () => {
    fc.assert(
      fc.property(someScopes, seekers, (scopes, seeker) => {
        const [[, less = 0] = []] = totals([cluster(1, { ...scopes, cidrs: [], hostnames: [] })], seeker);
        const [[, more = 0] = []] = totals([cluster(1, scopes)], seeker);
        expect(more).toBeGreaterThanOrEqual(less);
      }),
    );
  });
});
