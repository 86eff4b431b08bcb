import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Swarm } from '@d7y/swarm';
import { eventually, hostMessage, SchedulerRig, silent, startFakeSeed, TASK_ID } from '../_rig.ts';
import type { RecordContent } from './record-file.ts';
import { hostRecord, holderRecord, hostLeftRecord, replay, taskRecord } from './state-records.ts';
import { StateStore } from './state-store.ts';

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'd7y-memory-'))));
afterEach(() => rm(dir, { recursive: true, maxRetries: 5 }));

const start = () => SchedulerRig.start({}, '', `dataDir: ${dir}`);

/** A host fetches the task from the origin, and is done. */
async function fetchAtOrigin(rig: SchedulerRig, hostId: string, port: number): Promise<void> {
  await rig.announce(hostId, { port });
  await using download = rig.register(hostId, { needBackToSource: true });
  expect((await download.answer())?.case).toBe('needBackToSourceResponse');
  download.atOrigin();
  download.finished(true);
  expect(await download.answer()).toBeUndefined();
}

describe('a scheduler that was started again', () => {
  it('offers those who had a task as soon as they answer, without asking the origin', async () => {
    await using holder = await startFakeSeed();
    {
      await using rig = await start();
      await fetchAtOrigin(rig, 'first', holder.port);
    }
    await using rig = await start();
    await rig.announce('second');
    await using download = rig.register('second');
    const answer = await download.answer();
    expect(answer?.case).toBe('normalTaskResponse');
    if (answer?.case !== 'normalTaskResponse') return;
    expect(answer.value.candidateParents.map(({ host }) => host?.id)).toEqual(['first']);
    expect(answer.value.candidateParents[0]?.task?.contentLength).toBeGreaterThan(0n);
  });

  it('sends to the origin where those who had the task are gone', async () => {
    {
      await using rig = await start();
      await fetchAtOrigin(rig, 'first', 1024);
    }
    await using rig = await start();
    await rig.announce('second');
    await using download = rig.register('second');
    expect((await download.answer())?.case).toBe('needBackToSourceResponse');
  });

  it('does not remember a host that has left, nor one that never had the task', async () => {
    await using holder = await startFakeSeed();
    {
      await using rig = await start();
      await fetchAtOrigin(rig, 'gone', holder.port);
      await rig.announce('idle', { port: holder.port });
      await using unfinished = rig.register('idle');
      expect((await unfinished.answer())?.case).toBe('normalTaskResponse');
      unfinished.started();
      await rig.client.deleteHost({ hostId: 'gone' });
    }
    await using rig = await start();
    await eventually(async () => (await rig.client.listHosts({})).hosts.length === 1);
    expect((await rig.client.listHosts({})).hosts.map(({ id }) => id)).toEqual(['idle']);
    await expect(rig.client.statPeer({ hostId: 'idle', taskId: TASK_ID, peerId: 'idle-peer' })).rejects.toThrow();
  });
});

describe('replay', () => {
  const holder = (hostId: string, peerId: string) =>
    holderRecord({ hostId, peerId, taskId: 't', priority: 0, concurrentPieceCount: 4 });
  const replayed = (...records: RecordContent[]) =>
    replay(records.map((record) => (typeof record === 'string' ? Buffer.from(record) : Buffer.from(record))));

  it('lets the last word count, and takes the peers of a host with it', () => {
    const host = hostRecord(hostMessage('a'), 300_000);
    const { hosts, holders } = replayed(
      host,
      holder('a', '1'),
      holder('b', '2'),
      hostLeftRecord('a'),
      holder('a', '3'),
    );
    expect([...hosts.keys()]).toEqual([]);
    expect([...holders.keys()]).toEqual(['2', '3']);
  });

  it('passes over what it cannot read', () => {
    const { holders, unreadable } = replayed(Buffer.from([9]), Buffer.from('\x04nonsense'), holder('b', '2'));
    expect([...holders.keys()]).toEqual(['2']);
    expect(unreadable).toBe(2);
  });

  it('knows 100,000 holders again', async () => {
    const task = { url: 'https://r.example/blob', digest: undefined, tag: undefined, application: undefined };
    const known = [
      ...Array.from({ length: 10_000 }, (_, index) => hostRecord(hostMessage(`10.0.0.1-node-${index}`), 300_000)),
      ...Array.from({ length: 1_000 }, (_, index) =>
        taskRecord({
          ...{ id: `task-${index}`, size: { contentLength: 10, pieceLength: 10, pieceCount: 1 }, isPrivate: false },
          record: { ...task, filteredQueryParams: [] },
        }),
      ),
      ...Array.from({ length: 100_000 }, (_, index) =>
        holderRecord({
          ...{ hostId: `10.0.0.1-node-${index % 10_000}`, taskId: `task-${index % 1_000}`, peerId: `peer-${index}` },
          ...{ priority: 0, concurrentPieceCount: 8 },
        }),
      ),
    ];
    const options = { dir, logger: silent, current: () => known };
    {
      const { store } = await StateStore.open(options);
      await using _ = store;
      await store.flush();
    }
    const { store, records } = await StateStore.open(options);
    await using _ = store;
    const { hosts, tasks, holders } = replay(records);
    const swarm = new Swarm({}, Math.random, 0);
    swarm.restore(
      { hosts: [...hosts.values()].map(({ facts }) => facts), tasks: tasks.values(), holders: holders.values() },
      0,
    );
    expect([...swarm.peers()]).toHaveLength(100_000);
  });
});
