import { describe, expect, it } from '@jest/globals';
import { SchedulerRig, TASK_ID } from './_rig.ts';

/** Five peers of one task: one at the origin, the others its children. */
async function crowd(): Promise<SchedulerRig> {
  const rig = await SchedulerRig.start({ swarm: { seedsEnabled: false, gatherMs: 0 } });
  for (const id of ['a', 'b', 'c', 'd', 'e']) {
    await rig.announce(id);
    const download = rig.register(id);
    await download.answer();
    if (id === 'a') {
      download.atOrigin();
      download.piece(0);
    } else download.started();
  }
  return rig;
}

describe('the listing of a scheduler', () => {
  it('tells how much there is', async () => {
    await using rig = await crowd();
    expect(await rig.listing.getOverview({})).toMatchObject({ hosts: 5n, seeds: 0n, tasks: 1n, peers: 5n });
  });

  it('tells of tasks without the secrets of their URLs', async () => {
    await using rig = await crowd();
    await rig.announce('seed', { type: 1 });
    await rig.register('seed').answer();
    const { tasks } = await rig.listing.listTasks({ hostId: 'b' });
    expect(tasks).toMatchObject([
      { id: TASK_ID, state: 'Running', peers: 6n, seedPeers: 1n, originLeases: 1n, pieceCount: 10n, isPrivate: false },
    ]);
    expect(tasks[0]?.url).toBe('https://registry.example/v2/library/alpine/blobs/x');
    expect((await rig.listing.listTasks({ state: 'Failed' })).tasks).toEqual([]);
    expect((await rig.listing.listTasks({ hostId: 'nobody' })).tasks).toEqual([]);
  });

  it('goes through peers page by page, each once', async () => {
    await using rig = await crowd();
    const seen: string[] = [];
    let pageToken = '';
    do {
      const page = await rig.listing.listPeers({ pageSize: 2, pageToken });
      expect(page.peers.length).toBeLessThanOrEqual(2);
      seen.push(...page.peers.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(seen).toEqual(['a-peer', 'b-peer', 'c-peer', 'd-peer', 'e-peer']);
    await expect(rig.listing.listPeers({ pageToken: 'x' })).rejects.toThrow('page_token');
  });

  it('tells of peers by state, task and host, and of who fetches from whom', async () => {
    await using rig = await crowd();
    const at = await rig.listing.listPeers({ state: 'BackToSource', taskIdPrefix: 'aaa' });
    expect(at.peers).toMatchObject([{ id: 'a-peer', hostname: 'a', ip: '127.0.0.1', isLinked: false }]);
    expect((await rig.listing.listPeers({ hostId: 'b' })).peers.map(({ id }) => id)).toEqual(['b-peer']);
    expect((await rig.listing.listPeers({ taskIdPrefix: 'b' })).peers).toEqual([]);
    const { transfers } = await rig.listing.listTransfers({ hostId: 'b' });
    expect(transfers.find(({ childHostId }) => childHostId === 'b')).toMatchObject({
      ...{ taskId: TASK_ID, childPeerId: 'b-peer', parentPeerId: 'a-peer', pieceCount: 10n },
    });
    expect((await rig.listing.listTransfers({ taskIdPrefix: 'b' })).transfers).toEqual([]);
  });
});
