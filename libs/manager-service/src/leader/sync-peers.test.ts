import { scheduler } from '@d7y/api';
import type { PeerValues } from '@d7y/manager-db';
import { createLogger, listen } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { factsOf, NOW_MS } from '../search/_facts.ts';
import { ClusterView } from '../search/cluster-view.ts';
import { syncPeersTask } from './sync-peers.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const { signal } = new AbortController();

/** A scheduler that has these hosts. */
const schedulerWith = (...names: readonly string[]) =>
  listen({
    ...{ host: '127.0.0.1', port: 0, logger, drainMs: 0 },
    grpc: (router) =>
      router.service(scheduler.Scheduler, {
        listHosts: () => ({
          hosts: names.map((hostname, index) => ({
            ...{ id: hostname, hostname, ip: `10.0.0.${index + 1}`, port: 4000, downloadPort: 4000, type: index },
            ...{ os: 'linux', network: { idc: 'east' }, build: { gitVersion: '1.5.0' } },
          })),
        }),
      }),
  });

function sync(ports: readonly number[], batchSize = 500) {
  const written: PeerValues[][] = [];
  const marked: number[] = [];
  const schedulers = ports.map((port, index) => ({ ip: '127.0.0.1', port, id: index + 1 }));
  const view = new ClusterView(
    factsOf([
      { id: 1, schedulers },
      { id: 2, schedulers: [{ isActive: false }] },
    ]),
    NOW_MS,
  );
  const task = syncPeersTask({
    view: () => view,
    peers: {
      mergeSeen: async (seen) => void written.push([...seen]),
      markUnseen: async (clusterId) => marked.push(clusterId),
    },
    connection: {},
    settings: { interval: 1, timeout: 20_000, batchSize },
    clock: () => NOW_MS,
    logger,
  });
  return { task, written, marked, names: () => written.flat().map(({ hostName }) => hostName) };
}

describe('syncPeersTask', () => {
  it('writes down the hosts of all schedulers of a cluster, each once, a batch at a time', async () => {
    await using one = await schedulerWith('a', 'b');
    await using two = await schedulerWith('a', 'b', 'c');
    const { task, written, marked, names } = sync([one.port, two.port], 2);
    await task.run({ signal });
    expect(names()).toEqual(['a', 'b', 'c']);
    expect(written.map(({ length }) => length)).toEqual([2, 1]);
    expect(written[0]?.[1]).toMatchObject({
      ...{ hostName: 'b', type: 'super', ip: '10.0.0.2', port: 4000, idc: 'east', os: 'linux', gitVersion: '1.5.0' },
      ...{ state: 'active', schedulerClusterId: 1 },
    });
    // Not the cluster without an active scheduler.
    expect(marked).toEqual([1]);
  });

  it('takes nobody for gone while a scheduler does not answer', async () => {
    await using one = await schedulerWith('a');
    const closed = await schedulerWith();
    await closed[Symbol.asyncDispose]();
    const { task, marked, names } = sync([one.port, closed.port]);
    await task.run({ signal });
    expect(names()).toEqual(['a']);
    expect(marked).toEqual([]);
  });
});
