import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import { manager } from '@d7y/api';
import { factsOf, NOW_MS } from './_facts.ts';
import { ClusterView } from './cluster-view.ts';
import { SchedulerLists } from './scheduler-lists.ts';

const DAEMON = { hostname: 'node-1', ip: '10.9.0.1' };
const read = (frame: Buffer) => {
  expect([frame[0], frame.readUInt32BE(1)]).toEqual([0, frame.length - 5]);
  return fromBinary(manager.ListSchedulersResponseSchema, frame.subarray(5)).schedulers;
};
const names = (frame: Buffer | undefined) => read(frame ?? Buffer.alloc(0)).map(({ hostname }) => hostname);
const lists = () => new SchedulerLists(() => undefined);
const viewOf = (...args: Parameters<typeof factsOf>) => new ClusterView(factsOf(...args), NOW_MS);

describe('SchedulerLists', () => {
  it('names the schedulers of all clusters, the best cluster first', () => {
    const view = viewOf([
      { id: 1, isDefault: true, schedulers: [{}, {}] },
      { id: 2, scopes: { hostnames: ['^node-'] } },
      { id: 3 },
    ]);
    expect(names(lists().forSeeker(view, DAEMON))).toEqual([
      ...['scheduler-2-0', 'scheduler-1-0', 'scheduler-1-1', 'scheduler-3-0'],
    ]);
    expect(names(lists().forSeeker(view, { ...DAEMON, hostname: 'x' }))[0]).toBe('scheduler-1-0');
  });

  it('says of each what stock daemons read', () => {
    const block = { task: { download: { urls: ['/x/'], applications: null } } };
    const view = viewOf([{ id: 1, clientConfig: { load_limit: 50, block_list: block } }]);
    const [scheduler] = read(lists().forSeeker(view, DAEMON));
    expect(scheduler).toMatchObject({ ip: '10.0.1.1', port: 8002, state: 'active', schedulerClusterId: 1n });
    const json = (bytes: Uint8Array | undefined): unknown => JSON.parse(Buffer.from(bytes ?? []).toString());
    expect(json(scheduler?.schedulerCluster?.clientConfig)).toEqual({
      load_limit: 50,
      block_list: { task: { download: { urls: ['/x/'] } } },
    });
    expect(json(scheduler?.schedulerCluster?.seedClientConfig)).toEqual({});
  });

  it('passes over schedulers that are gone or do not schedule, and clusters without others', () => {
    const view = viewOf([
      { id: 1, schedulers: [{ isActive: false }, {}, { features: ['preheat'] }] },
      { id: 2, schedulers: [{ isActive: false }] },
      { id: 3, schedulers: [] },
    ]);
    expect(names(lists().forSeeker(view, DAEMON))).toEqual(['scheduler-1-1']);
  });

  it('offers those who seem to be gone when nobody else is there', () => {
    const view = viewOf([
      { id: 1, schedulers: [{ isActive: false }] },
      { id: 2, schedulers: [{ features: [], isActive: false }] },
    ]);
    expect(names(lists().forSeeker(view, DAEMON))).toEqual(['scheduler-1-0']);
    expect(read(lists().forSeeker(viewOf([{ id: 1, schedulers: [] }]), DAEMON))).toEqual([]);
  });

  it('names all schedulers of a cluster that is asked for, those at work first', () => {
    const view = viewOf([
      { id: 1, schedulers: [{ isActive: false }, {}, { features: ['preheat'] }] },
      { id: 2, schedulers: [] },
    ]);
    expect(names(lists().ofCluster(view, 1))).toEqual(['scheduler-1-1', 'scheduler-1-2', 'scheduler-1-0']);
    expect(names(lists().ofCluster(view, 2))).toEqual([]);
    expect(lists().ofCluster(view, 3)).toBeUndefined();
  });

  it('gives daemons with the same order the same bytes', () => {
    const view = viewOf([{ id: 1 }, { id: 2, scopes: { cidrs: ['10.0.0.0/8'] } }]);
    const some = lists();
    const answer = some.forSeeker(view, DAEMON);
    expect(some.forSeeker(view, { ...DAEMON, hostname: 'node-2' })).toBe(answer);
    expect(some.forSeeker(view, DAEMON)).toBe(answer);
    expect(some.forSeeker(view, { ...DAEMON, ip: '192.168.0.1' })).not.toBe(answer);
    expect(some.counts).toEqual({ hits: 2, misses: 2 });
  });

  it('follows the view, and keeps what has not changed', () => {
    const some = lists();
    const clusters = [{ id: 1 }, { id: 2 }];
    const answer = some.forSeeker(viewOf(clusters, 1), DAEMON);
    expect(some.forSeeker(viewOf(clusters, 2), DAEMON)).toBe(answer);
    const changed = viewOf([{ id: 1, schedulers: [{}, {}] }, { id: 2 }], 3);
    expect(names(some.forSeeker(changed, DAEMON))).toEqual(['scheduler-1-0', 'scheduler-1-1', 'scheduler-2-0']);
    expect(names(some.forSeeker(viewOf([{ id: 2 }], 4), DAEMON))).toEqual(['scheduler-2-0']);
    expect(names(some.ofCluster(viewOf([{ id: 2, schedulers: [] }], 5), 2))).toEqual([]);
  });
});
