import { describe, expect, it } from '@jest/globals';
import { create } from '@bufbuild/protobuf';
import { createRouterTransport } from '@connectrpc/connect';
import type { Transport } from '@connectrpc/connect';
import { swarmListing } from '@d7y/api';
import { createLogger, delay } from '@d7y/service-kit';
import { joinTasks, SwarmListing, type SwarmListingOptions } from './swarm-listing.ts';

const { SwarmListingService } = swarmListing;
const logger = createLogger({ name: 'test', level: 'silent' });
const gone = new AbortController();

/** A scheduler with so many tasks, in pages of two. */
const withTasks = (name: string, count: number): Transport =>
  createRouterTransport(({ rpc }) => {
    rpc(SwarmListingService.method.listTasks, ({ pageToken, taskIdPrefix }) => {
      const from = Number(pageToken || '0');
      const ids = Array.from({ length: Math.min(2, count - from) }, (_, n) => `${taskIdPrefix}${name}${from + n}`);
      return { tasks: ids.map((id) => ({ id })), nextPageToken: from + 2 < count ? String(from + 2) : '' };
    });
  });
const silent = (): Transport =>
  createRouterTransport(({ rpc }) => {
    rpc(
      SwarmListingService.method.listTasks,
      (_request, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    );
  });
const stock = (): Transport => createRouterTransport(() => undefined);

function listing(
  transports: readonly Transport[],
  options: Partial<Omit<SwarmListingOptions, 'schedulers' | 'connect' | 'logger'>> = {},
) {
  return new SwarmListing({
    schedulers: async (clusterId) =>
      transports
        .map((_, n) => ({ ip: `10.0.0.${n + 1}`, port: 8002, schedulerClusterId: n + 1 }))
        .filter(({ schedulerClusterId }) => clusterId === undefined || schedulerClusterId === clusterId),
    connect: (ip) => transports[Number(ip.split('.')[3]) - 1] as Transport,
    logger,
    deadlineMs: 10_000,
    ...options,
  });
}

const told = async (of: SwarmListing, filter: Parameters<SwarmListing['tasks']>[0] = {}) => {
  const { items, incomplete } = await of.tasks(filter, gone.signal);
  return { ids: items.map(({ schedulerClusterId, told: { id } }) => `${schedulerClusterId}:${id}`).sort(), incomplete };
};

describe('SwarmListing', () => {
  it('reads all pages of all schedulers', async () => {
    expect(await told(listing([withTasks('a', 3), withTasks('b', 1), withTasks('c', 0)]))).toEqual({
      ids: ['1:a0', '1:a1', '1:a2', '2:b0'],
      incomplete: [],
    });
  });

  it('asks no more at once than it may, and rests between them', async () => {
    const askedMs: number[] = [];
    const slow = Array.from({ length: 4 }, () =>
      createRouterTransport(({ rpc }) => {
        rpc(SwarmListingService.method.listTasks, async () => {
          askedMs.push(performance.now());
          await delay(10);
          return {};
        });
      }),
    );
    await told(listing(slow, { maxParallel: 2, pauseMs: 100 }));
    const [first = 0, second = 0, third = 0, fourth = 0] = askedMs;
    expect(third - first).toBeGreaterThanOrEqual(99);
    expect(fourth - second).toBeGreaterThanOrEqual(99);
  });

  it('asks one cluster when one is named, with the filter', async () => {
    const both = listing([withTasks('a', 1), withTasks('b', 1)]);
    expect(await told(both, { clusterId: 2, idPrefix: 'x' })).toEqual({ ids: ['2:xb0'], incomplete: [] });
  });

  it('answers with what it has, and names who is missing: the late, the stock, and those with too much', async () => {
    const some = listing([withTasks('a', 1), silent(), stock(), withTasks('d', 9)], { deadlineMs: 100, maxRows: 4 });
    expect(await told(some)).toEqual({
      ids: ['1:a0', '4:d0', '4:d1', '4:d2', '4:d3'],
      incomplete: ['10.0.0.2:8002', '10.0.0.3:8002', '10.0.0.4:8002'],
    });
  });

  it('reads no more of all together than it may, and names those of whom it is not all', async () => {
    const { ids, incomplete } = await told(listing([withTasks('a', 9), withTasks('b', 9)], { maxRowsTogether: 6 }));
    expect(ids.length).toBeGreaterThanOrEqual(6);
    expect(ids.length).toBeLessThanOrEqual(8);
    expect(incomplete).toEqual(['10.0.0.1:8002', '10.0.0.2:8002']);
  });

  it('names the clusters of which something may be missing', async () => {
    const { incompleteClusters } = await listing([withTasks('a', 1), stock()]).tasks({}, gone.signal);
    expect([...incompleteClusters]).toEqual([2]);
  });

  it('stops asking when nobody waits for the answer any more', async () => {
    const left = new AbortController();
    const asked = listing([silent()]).tasks({}, left.signal);
    left.abort(new Error('left'));
    await expect(asked).rejects.toThrow('left');
  });
});

describe('joinTasks', () => {
  it('takes what two schedulers of a cluster know for one task: the later word, the lengths that either knows, and all peers', () => {
    const task = (
      init: Parameters<typeof create<typeof swarmListing.ListedTaskSchema>>[1],
      schedulerClusterId = 1,
    ) => ({
      ...{ schedulerClusterId, told: create(swarmListing.ListedTaskSchema, { id: 'a', ...init }) },
    });
    const early = task({ contentLength: 7n, state: 'Running', peers: 2n, createdAtMs: 1n, updatedAtMs: 2n });
    const late = task({ state: 'Succeeded', peers: 1n, createdAtMs: 3n, updatedAtMs: 4n });
    for (const both of [
      [early, late],
      [late, early],
    ]) {
      const [joined, ...others] = joinTasks(both);
      expect(others).toEqual([]);
      expect(joined?.told).toMatchObject({ contentLength: 7n, state: 'Succeeded', peers: 3n, createdAtMs: 1n });
    }
    expect(joinTasks([early, task({}, 2)])).toHaveLength(2);
  });
});
