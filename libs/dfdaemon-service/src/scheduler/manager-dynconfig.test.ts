import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListedScheduler, SchedulerSearch } from '@d7y/peer-protocol';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '../_silent-logger.ts';
import { ManagerDynconfig } from './manager-dynconfig.ts';

const SEARCH: SchedulerSearch = {
  isSeed: false,
  hostname: 'node',
  ip: '10.0.0.7',
  idc: undefined,
  location: undefined,
  version: '1',
  commit: '',
  schedulerClusterId: undefined,
};
const LISTED: ListedScheduler[] = [
  { ip: '10.0.0.1', port: 8002, clusterId: 1n, clientConfig: '{"client":1}', seedClientConfig: '{"seed":1}' },
];
const { signal } = new AbortController();

describe('ManagerDynconfig', () => {
  let dir: string;
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'd7y-manager-'))));
  afterEach(() => rm(dir, { recursive: true }));

  const open = (listSchedulers: () => Promise<readonly ListedScheduler[]>, isSeed = false) =>
    ManagerDynconfig.open({
      client: { address: 'manager:65003', listSchedulers },
      path: join(dir, 'dynconfig.json'),
      search: { ...SEARCH, isSeed },
      isServing: () => Promise.resolve(true),
      logger: silentLogger,
    });
  const down = () => Promise.reject(new Error('the manager is down'));

  it('says where schedulers are, and what the cluster wants of daemons or seeds', async () => {
    const daemon = await open(() => Promise.resolve(LISTED));
    expect(await daemon.addresses({ signal })).toEqual(['10.0.0.1:8002']);
    expect(daemon.clientConfig).toBe('{"client":1}');
    const seed = await open(() => Promise.resolve(LISTED), true);
    expect(seed.clientConfig).toBe('{"seed":1}');
  });

  it('keeps the last answer while the manager is down, also after a restart', async () => {
    const answers = [() => Promise.resolve(LISTED), down, () => Promise.resolve([])];
    const first = await open(() => (answers.shift() ?? down)());
    for (let time = 0; time < 3; time++) expect(await first.addresses({ signal })).toEqual(['10.0.0.1:8002']);
    const second = await open(down);
    expect(await second.addresses({ signal })).toEqual(['10.0.0.1:8002']);
    expect(second.clientConfig).toBe('{"client":1}');
  });

  it('says why there are none where the manager never answered, whatever lies in its file', async () => {
    await writeFile(join(dir, 'dynconfig.json'), '{"version":1,"addresses":[');
    await expect((await open(down)).addresses({ signal })).rejects.toThrow('the manager is down');
    await expect((await open(() => Promise.resolve([]))).addresses({ signal })).rejects.toThrow(/lists no scheduler/);
  });
});
