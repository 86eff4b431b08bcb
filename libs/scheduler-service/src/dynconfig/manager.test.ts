import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, SchedulerRig } from '../_rig.ts';
import { FakeManager } from './_fake-manager.ts';

describe('a scheduler with a manager', () => {
  let dir: string;
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'd7y-scheduler-'))));
  afterEach(() => rm(dir, { recursive: true }));

  const start = (managerPort: number) =>
    SchedulerRig.start(
      {},
      `manager: { addr: '127.0.0.1:${managerPort}', schedulerClusterID: 3, keepAlive: { interval: 20ms } }
dynConfig: { refreshInterval: 20ms }
host: { idc: east, location: 'a|b' }`,
      `dataDir: ${dir}, host: scheduler-1`,
    );
  const metric = async (rig: SchedulerRig, name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${rig.running.port}/metrics`)).text();
    return Number(new RegExp(`^dragonfly_scheduler_${name} (.*)$`, 'm').exec(text)?.[1]);
  };
  const offered = async (rig: SchedulerRig, childId: string): Promise<number> => {
    await using child = rig.register(childId);
    return (await child.parents()).length;
  };
  /** So many hosts with everything. */
  const holders = async (rig: SchedulerRig, count: number) => {
    for (let index = 0; index < count; index++) {
      await rig.announce(`holder-${index}`);
      await using copy = rig.register(`holder-${index}`, { metadataOnly: true });
      await copy.answer();
      copy.started();
      copy.finished();
      await copy.answer();
    }
  };

  it('registers, says that it is alive, and obeys the limits of its cluster', async () => {
    await using manager = await FakeManager.start();
    const rig = await start(manager.port);
    expect(manager.registrations).toHaveLength(1);
    expect(manager.registrations[0]).toMatchObject({
      hostname: 'scheduler-1',
      ip: '127.0.0.1',
      schedulerClusterId: 3n,
      idc: 'east',
      location: 'a|b',
      features: ['schedule'],
    });
    expect(Buffer.from(manager.registrations[0]?.config ?? []).toString()).toBe(
      '{"manager_keep_alive_interval":20000000}',
    );
    await eventually(() => manager.beats.length > 2);
    expect(manager.beats[0]).toMatchObject({ hostname: 'scheduler-1', clusterId: 3n, ip: '127.0.0.1' });
    await holders(rig, 9);
    await rig.announce('child');
    expect(await offered(rig, 'child')).toBe(7);
    manager.clusterConfig = { candidate_parent_limit: 2 };
    await eventually(async () => (await offered(rig, 'child')) === 2);
    expect(await metric(rig, 'dynconfig_age_seconds')).toBeLessThan(60);
    manager.clusterConfig = { candidate_parent_limit: 9 };
    await rig.announce('staying');
    await eventually(async () => (await offered(rig, 'child')) === 9);
    await using staying = rig.register('staying');
    expect(await staying.parents()).toHaveLength(9);
    // One child for each host, and each has one.
    manager.loadLimit = 1;
    await rig.announce('late');
    await eventually(async () => {
      await using late = rig.register('late');
      const answer = await Promise.race([
        late.answer(),
        new Promise<'waits'>((resolve) => setTimeout(resolve, 50, 'waits')),
      ]);
      return answer === 'waits';
    });
    await rig[Symbol.asyncDispose]();
    await eventually(() => manager.openStreams === 0);
  });

  it('registers again with a manager that has forgotten it', async () => {
    await using manager = await FakeManager.start();
    await using rig = await start(manager.port);
    manager.isKnown = false;
    await eventually(() => manager.registrations.length > 1 && manager.isKnown);
    expect((await rig.client.listHosts({})).hosts).toEqual([]);
  });

  it('starts without its manager with what that said last, goes on when it is lost, and finds it again', async () => {
    const manager = await FakeManager.start();
    const { port } = manager;
    {
      await using rig = await start(port);
      await manager[Symbol.asyncDispose]();
      await eventually(async () => (await metric(rig, 'dynconfig_failing')) === 1);
      await holders(rig, 9);
      await rig.announce('child');
      expect(await offered(rig, 'child')).toBe(7);
    }
    expect(JSON.parse(await readFile(join(dir, 'dynconfig.json'), 'utf8'))).toMatchObject({ candidateParentLimit: 7 });
    await using rig = await start(port);
    expect(await metric(rig, 'dynconfig_age_seconds')).toBe(-1);
    await holders(rig, 9);
    await rig.announce('child');
    expect(await offered(rig, 'child')).toBe(7);
    await manager.listen(port);
    await eventually(async () => (await metric(rig, 'dynconfig_failing')) === 0 && manager.openStreams === 1);
    await manager[Symbol.asyncDispose]();
  });

  it('keeps the last good settings when the manager sends nonsense', async () => {
    await using manager = await FakeManager.start();
    await using rig = await start(manager.port);
    manager.clusterConfig = { candidate_parent_limit: 'many' };
    await eventually(async () => (await metric(rig, 'dynconfig_failing')) === 1);
    await holders(rig, 9);
    await rig.announce('child');
    expect(await offered(rig, 'child')).toBe(7);
  });

  it('gives downloads the priority of their application, unless they have their own', async () => {
    await using manager = await FakeManager.start();
    manager.applications = [
      {
        name: 'batch',
        value: 1,
        urls: [
          { regex: '/allowed/', value: 4 },
          { regex: '(', value: 2 },
        ],
      },
    ];
    await using rig = await start(manager.port);
    await rig.announce('first');
    await using barred = rig.register('first', { application: 'batch', url: 'https://a.example/x' }, 'barred');
    await expect(barred.answer()).rejects.toMatchObject({ code: Code.FailedPrecondition });
    await using own = rig.register('first', { application: 'batch', url: 'https://a.example/x', priority: 6 }, 'own');
    expect((await own.answer())?.case).toBe('needBackToSourceResponse');
    const question = (peerId: string) => ({ hostId: 'first', taskId: 'a'.repeat(64), peerId });
    expect((await rig.client.statPeer(question('own'))).priority).toBe(6);
    own.say({ case: 'downloadPeerFailedRequest', value: {} });
    await own.answer();
    await using byUrl = rig.register('first', { application: 'batch', url: 'https://a.example/allowed/x' }, 'by-url');
    expect((await byUrl.answer())?.case).toBe('needBackToSourceResponse');
    expect((await rig.client.statPeer(question('by-url'))).priority).toBe(4);
  });
});
