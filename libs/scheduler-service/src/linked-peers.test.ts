import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { Announcement, Instruction, Parent, PeerRegistration } from '@d7y/peer-protocol';
import { PieceSet } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import { OwnHost } from './_own-host.ts';
import { eventually, SchedulerRig, startFakeSeed, TASK_ID } from './_rig.ts';

const PIECE_LENGTH = 4 * 2 ** 20;
const signal = new AbortController().signal;

function registration(hostId: string, more: Partial<PeerRegistration> = {}): PeerRegistration {
  return {
    ...{ hostId, taskId: TASK_ID, peerId: `${hostId}-peer`, url: 'https://registry.example/v2/a/blobs/x?ns=1' },
    ...{ tag: 'v1', application: undefined, digest: undefined, filteredQueryParams: ['sig'], priority: 0 },
    ...{ requestHeaders: { accept: '*/*', authorization: 'Bearer planted' }, requestedPieceLength: undefined },
    ...{ range: undefined, contentLength: 3 * PIECE_LENGTH, pieceLength: PIECE_LENGTH },
    ...{ needBackToSource: false, metadataOnly: false, concurrentPieceCount: 4 },
    ...{ contentForCalculatingTaskId: undefined, enableTaskIdBasedBlobDigest: true },
    ...more,
  };
}

/** Registers, and reads one instruction. */
async function ask(host: OwnHost, hostId: string, more: Partial<PeerRegistration> = {}) {
  const announcement = host.peers.announcePeer(registration(hostId, more), { signal });
  return { announcement, instruction: await next(announcement) };
}

async function next(announcement: Announcement): Promise<Instruction | undefined> {
  const result = await announcement.instructions[Symbol.asyncIterator]().next();
  return result.done === true ? undefined : result.value;
}

function parentsOf(instruction: Instruction | undefined): readonly Parent[] {
  if (instruction?.kind !== 'parents') throw new Error(`expected parents, got ${instruction?.kind ?? 'the end'}`);
  return instruction.parents;
}

/** A host that has all of the task. */
async function holder(rig: SchedulerRig, hostId: string): Promise<OwnHost> {
  const host = await OwnHost.open(rig, hostId);
  const { announcement } = await ask(host, hostId, { metadataOnly: true });
  await announcement.finished(3 * PIECE_LENGTH, 3);
  return host;
}

/** What comes over a link, as it comes. */
function eavesdrop(host: OwnHost): swarm.LinkResponse['response'][] {
  const seen: swarm.LinkResponse['response'][] = [];
  const hear = host.peers.hear.bind(host.peers);
  host.peers.hear = (response) => {
    seen.push(response);
    return hear(response);
  };
  return seen;
}

const NO_SEEDS = { swarm: { seedsEnabled: false } };

describe('downloads over the link of their daemon', () => {
  it('hear of each host and each parent once, and by numbers from then on', async () => {
    await using rig = await SchedulerRig.start(NO_SEEDS);
    await using _one = await holder(rig, 'one');
    await using _two = await holder(rig, 'two');
    await using child = await OwnHost.open(rig, 'child');
    const seen = eavesdrop(child);
    const { announcement, instruction } = await ask(child, 'child');
    const [first] = parentsOf(instruction);
    announcement.reschedule(first === undefined ? [] : [first], 'it has nothing');
    const rest = parentsOf(await next(announcement));
    expect(rest).toHaveLength(1);
    const other = await ask(child, 'child', { peerId: 'another', taskId: 'b'.repeat(64) });
    expect(other.instruction?.kind).toBe('backToSource');
    const offers = seen.flatMap(({ case: kind, value }) => (kind === 'offer' ? [value] : []));
    expect(offers.map(({ hosts, introduced, parents }) => [hosts.length, introduced.length, parents.length])).toEqual([
      [2, 2, 2],
      [0, 0, 1],
    ]);
    announcement.abort();
  });

  it('tell of their pieces together, and by whom they came', async () => {
    await using rig = await SchedulerRig.start(NO_SEEDS);
    await using _one = await holder(rig, 'one');
    await using child = await OwnHost.open(rig, 'child');
    const said: string[] = [];
    const say = child.say.bind(child);
    child.say = (request) => {
      said.push(request.case ?? '');
      if (request.case === 'havePieces')
        expect(request.value.deliveries).toMatchObject([{ parentNumber: 1, pieces: 2, bytes: 30n, durationMs: 9n }]);
      say(request);
    };
    const { announcement } = await ask(child, 'child');
    announcement.started();
    for (const [number, length, costMs] of [
      [2, 10, 4],
      [0, 20, 5],
    ] as const)
      announcement.pieceFinished({
        ...{ number, length, costMs, offset: 0, digest: 'crc32:1', createdAtMs: 1 },
        ...{ parentId: 'one-peer', trafficType: 'remotePeer' },
      });
    const pieces = async (): Promise<bigint | undefined> =>
      (await rig.listing.listPeers({ peerIdPrefix: 'child' })).peers[0]?.finishedPieces;
    await eventually(async () => (await pieces()) === 2n);
    expect(said).toEqual(['register', 'started', 'havePieces']);
    announcement.abort();
  });

  it('outlive a link that breaks, without a word per piece, and nobody else is sent to the origin meanwhile', async () => {
    await using rig = await SchedulerRig.start(NO_SEEDS);
    const first = await OwnHost.open(rig, 'first');
    const { announcement } = await ask(first, 'first');
    announcement.backToSourceStarted('as told');
    await using child = await OwnHost.open(rig, 'child');
    await ask(child, 'child');
    first.cut();
    await expect(next(announcement)).rejects.toThrow();
    await using again = await OwnHost.open(rig, 'first');
    const resumed = await ask(again, 'first', { needBackToSource: true, heldPieces: new PieceSet([0, 1]) });
    expect(resumed.instruction).toMatchObject({ kind: 'backToSource' });
    const listed = await rig.listing.listPeers({ peerIdPrefix: 'first-peer' });
    expect(listed.peers).toMatchObject([{ finishedPieces: 2n, isLinked: true }]);
    await first[Symbol.asyncDispose]();
  });

  it('are known to a scheduler that has just started, from the inventory of their daemons', async () => {
    await using rig = await SchedulerRig.start(NO_SEEDS);
    await using one = await OwnHost.open(rig, 'one');
    const tasks = [
      {
        taskId: TASK_ID,
        peerId: 'one-held',
        contentLength: BigInt(3 * PIECE_LENGTH),
        pieceLength: BigInt(PIECE_LENGTH),
      },
    ];
    for (const _ of [1, 2]) one.say({ case: 'inventory', value: create(swarm.InventorySchema, { tasks }) });
    await using child = await OwnHost.open(rig, 'child');
    await eventually(async () => (await rig.listing.getOverview({})).peers === 1n);
    const { instruction, announcement } = await ask(child, 'child', { contentLength: undefined });
    expect(parentsOf(instruction)).toMatchObject([
      { peerId: 'one-held', hostId: 'one', contentLength: 3 * PIECE_LENGTH, isComplete: true },
    ]);
    announcement.abort();
  });

  it('get other parents when a daemon says that it is about to leave', async () => {
    await using rig = await SchedulerRig.start(NO_SEEDS);
    await using one = await holder(rig, 'one');
    await using _two = await holder(rig, 'two');
    one.say({ case: 'drain', value: create(swarm.DrainSchema, { reason: 'an update' }) });
    await using child = await OwnHost.open(rig, 'child');
    await eventually(async () => (await rig.listing.listTasks({})).tasks[0]?.anchors === 1n);
    const { instruction, announcement } = await ask(child, 'child');
    expect(parentsOf(instruction).map(({ peerId }) => peerId)).toEqual(['two-peer']);
    announcement.abort();
  });

  it('hear in time that the scheduler is about to stop', async () => {
    const rig = await SchedulerRig.start(NO_SEEDS);
    await using child = await OwnHost.open(rig, 'child');
    await rig[Symbol.asyncDispose]();
    await eventually(() => child.heard.some(({ case: kind }) => kind === 'drain'));
  });

  it('make a seed fetch what they want, without the secrets of their users', async () => {
    await using seed = await startFakeSeed();
    await using rig = await SchedulerRig.start();
    await rig.announce('seed', { type: 1, port: seed.port, downloadPort: seed.port });
    await using child = await OwnHost.open(rig, 'child');
    const announcement = child.peers.announcePeer(registration('child'), { signal });
    await eventually(() => seed.triggers.length === 1);
    expect(seed.triggers[0]?.download).toMatchObject({
      ...{ url: 'https://registry.example/v2/a/blobs/x?ns=1', tag: 'v1', filteredQueryParams: ['sig'] },
      ...{ needBackToSource: true, requestHeader: { accept: '*/*' }, enableTaskIdBasedBlobDigest: true },
    });
    announcement.abort();
  });

  it('are turned down one by one, and end with the stream when their host has left', async () => {
    await using rig = await SchedulerRig.start({ swarm: { seedsEnabled: false, maxPeers: 1 } });
    await using host = await OwnHost.open(rig, 'a');
    const { announcement } = await ask(host, 'a');
    await expect(ask(host, 'a', { peerId: 'second' })).rejects.toMatchObject({ status: 8 });
    announcement.backToSourceStarted('still heard');
    await host.client.deleteHost({ signal });
    await expect(ask(host, 'a', { peerId: 'third' })).rejects.toThrow('not known here');
  });

  it('hear which pieces of a large swarm few have', async () => {
    await using rig = await SchedulerRig.start({
      swarm: { seedsEnabled: false, peerChildren: 50, sourceChildren: 50 },
    });
    const whole = { contentLength: 40 * PIECE_LENGTH };
    await using source = await OwnHost.open(rig, 'source');
    await ask(source, 'source', { ...whole, metadataOnly: true }).then(({ announcement }) => {
      announcement.started();
      return announcement.finished(40 * PIECE_LENGTH, 40);
    });
    await using child = await OwnHost.open(rig, 'child');
    const asked = await Promise.all(
      Array.from({ length: 40 }, (_, number) => ask(child, 'child', { ...whole, peerId: `child-${number}` })),
    );
    for (const { announcement } of asked) announcement.started();
    const [first] = asked;
    const parentId = 'source-peer';
    for (let number = 0; number < 30; number++)
      first?.announcement.pieceFinished({
        ...{ number, offset: number * PIECE_LENGTH, length: PIECE_LENGTH, costMs: 9, parentId },
        ...{ trafficType: 'remotePeer', digest: 'crc32:1', createdAtMs: 0 },
      });
    await eventually(() => asked.every(({ announcement }) => announcement.hotPieces?.size === 10));
    expect([...(asked[7]?.announcement.hotPieces ?? [])]).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39]);
    for (const { announcement } of asked) announcement.abort();
  });

  it('are turned down, and nobody else on their link, when they bring more than is to be kept', async () => {
    await using rig = await SchedulerRig.start(NO_SEEDS);
    await using child = await OwnHost.open(rig, 'child');
    const long = { filteredQueryParams: Array.from({ length: 70 }, () => 'x'.repeat(1000)), peerId: 'long' };
    await expect(ask(child, 'child', long)).rejects.toThrow('longer than 65536 bytes');
    expect((await ask(child, 'child')).instruction?.kind).toBe('backToSource');
  });
});
