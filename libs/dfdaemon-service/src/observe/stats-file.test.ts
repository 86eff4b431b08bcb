import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '../_silent-logger.ts';
import { type Stats, StatsFile } from './stats-file.ts';
import type { DaemonStatus } from './status.ts';

const STATUS: DaemonStatus = {
  health: 'serving',
  version: '1.2.3',
  hostId: '10.0.0.1-node',
  isSeed: false,
  startedAt: 0,
  schedulers: [{ address: '10.0.0.9:8002', reachable: true }],
  tasks: { total: 4, running: 1, served: 7, failed: 2, backToSource: 3 },
  cache: { tasks: 4, bytes: 1000, limitBytes: 5000 },
  bytes: { fromSource: 100, fromPeers: 300, fromLocalCache: 50, uploaded: 600 },
  activeTasks: [],
};

describe('StatsFile', () => {
  let dir: string;
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'd7y-stats-'))));
  afterEach(() => rm(dir, { recursive: true }));

  const read = async (): Promise<Stats> => JSON.parse(await readFile(join(dir, 'stats.json'), 'utf8')) as Stats;
  const options = (status: () => Promise<DaemonStatus>) => ({
    path: join(dir, 'stats.json'),
    status,
    intervalMs: 3_600_000,
    logger: silentLogger,
    clock: () => 90_000,
  });

  it('says what the daemon did, in the names that scripts expect', async () => {
    await using file = new StatsFile(options(() => Promise.resolve(STATUS)));
    await file.write();
    expect(await read()).toEqual({
      version: '1.2.3',
      started_at: '1970-01-01T00:00:00.000Z',
      updated_at: '1970-01-01T00:01:30.000Z',
      host_id: '10.0.0.1-node',
      bytes: { from_source: 100, from_peers: 300, from_local_cache: 50, uploaded: 600 },
      p2p_ratio: 0.75,
      tasks: { total: 4, running: 1, finished: 7, failed: 2, back_to_source: 3 },
      cache: { tasks: 4, bytes: 1000, limit: 5000 },
      schedulers: [{ address: '10.0.0.9:8002', reachable: true }],
    });
  });

  it('is written a last time at the end, and leaves no other file', async () => {
    let uploaded = 0;
    {
      await using file = new StatsFile(
        options(() => Promise.resolve({ ...STATUS, bytes: { ...STATUS.bytes, uploaded } })),
      );
      await file.write();
      uploaded = 1;
    }
    expect((await read()).bytes.uploaded).toBe(1);
    expect(await readdir(dir)).toEqual(['stats.json']);
  });

  it('does no harm where it cannot be written', async () => {
    await using file = new StatsFile({
      ...options(() => Promise.resolve(STATUS)),
      path: join(dir, 'missing', 'stats.json'),
    });
    await expect(file.write()).resolves.toBeUndefined();
  });
});
