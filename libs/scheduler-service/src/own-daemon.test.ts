import type { Announcement, Instruction, PeerRegistration, SchedulerClient } from '@d7y/peer-protocol';
import { describe, expect, it } from '@jest/globals';
import { connectHost } from './_own-host.ts';
import { SchedulerRig, TASK_ID } from './_rig.ts';

const signal = new AbortController().signal;

function registration(hostId: string, more: Partial<PeerRegistration> = {}): PeerRegistration {
  return {
    hostId,
    taskId: TASK_ID,
    peerId: `${hostId}-peer`,
    url: 'https://registry.example/v2/a/blobs/x',
    tag: undefined,
    application: undefined,
    digest: undefined,
    filteredQueryParams: [],
    requestHeaders: {},
    requestedPieceLength: undefined,
    priority: 0,
    range: undefined,
    contentLength: undefined,
    pieceLength: undefined,
    needBackToSource: false,
    metadataOnly: false,
    concurrentPieceCount: 4,
    contentForCalculatingTaskId: undefined,
    enableTaskIdBasedBlobDigest: true,
    ...more,
  };
}

async function instruction(announcement: Announcement): Promise<Instruction | undefined> {
  for await (const next of announcement.instructions) return next;
  return undefined;
}

/** Gets all five bytes of the task from the origin, as told. */
async function fetchFromOrigin(client: SchedulerClient): Promise<void> {
  const fetching = client.announcePeer(registration('first', { contentLength: 5, pieceLength: 4_194_304 }), { signal });
  for await (const next of fetching.instructions) {
    expect(next.kind).toBe('backToSource');
    fetching.backToSourceStarted('as told');
    await fetching.backToSourceFinished(5, 1);
  }
}

describe('a daemon of ours', () => {
  it('learns the length of a task, of which it knows only the name, from its parents', async () => {
    await using rig = await SchedulerRig.start();
    await using first = await connectHost(rig, 'first');
    await using second = await connectHost(rig, 'second');
    const fetching = first.announcePeer(registration('first', { contentLength: 10_000_000, pieceLength: 4_194_304 }), {
      signal,
    });
    expect(await instruction(fetching)).toMatchObject({ kind: 'backToSource' });
    fetching.backToSourceStarted('as told');
    const curious = second.announcePeer(registration('second'), { signal });
    expect(await instruction(curious)).toMatchObject({
      kind: 'parents',
      parents: [{ peerId: 'first-peer', contentLength: 10_000_000, idc: 'here', isPrivate: false, isComplete: false }],
    });
    curious.abort();
    fetching.abort();
  });

  it('is told which of its parents has everything, and need not be asked', async () => {
    await using rig = await SchedulerRig.start();
    await using first = await connectHost(rig, 'first');
    await using second = await connectHost(rig, 'second');
    await fetchFromOrigin(first);
    const curious = second.announcePeer(registration('second'), { signal });
    expect(await instruction(curious)).toMatchObject({
      kind: 'parents',
      parents: [{ peerId: 'first-peer', isComplete: true }],
    });
    curious.abort();
  });

  it('parts from the scheduler in order, and its copy is offered to others', async () => {
    await using rig = await SchedulerRig.start();
    await using first = await connectHost(rig, 'first');
    await fetchFromOrigin(first);
    expect(await first.statTask(TASK_ID, { signal })).toMatchObject({ state: 'Succeeded', hasAvailablePeer: true });
    await first.deleteTask(TASK_ID, { signal });
    expect(await first.statTask(TASK_ID, { signal })).toMatchObject({ hasAvailablePeer: false });
    await first.deleteHost({ signal });
    expect(await first.listHosts(undefined, { signal })).toEqual([]);
  });

  it('finds out that the origin refuses it, and the next one tries', async () => {
    await using rig = await SchedulerRig.start();
    await using first = await connectHost(rig, 'first');
    await using second = await connectHost(rig, 'second');
    const refused = first.announcePeer(registration('first'), { signal });
    expect((await instruction(refused))?.kind).toBe('backToSource');
    const next = second.announcePeer(registration('second', { priority: 3 }), { signal });
    await refused.backToSourceFailed('401', { status: 401, headers: {} });
    expect((await instruction(next))?.kind).toBe('backToSource');
    next.abort();
  });
});
