import { beforeEach, describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import type { HostFacts } from './host.ts';
import { Swarm } from './swarm.ts';
import type { SwarmOptions } from './swarm-options.ts';
import type { RegistrationFacts } from './facts.ts';

const MINUTE_MS = 60_000;
let swarm: Swarm;

function start(options: Partial<SwarmOptions> = {}): void {
  swarm = new Swarm({ settleMs: 0, ...options }, seededRandom(1), 0);
}
beforeEach(() => start());

function announce(id: string, more: Partial<HostFacts> = {}, nowMs = 0): void {
  const facts: HostFacts = {
    id,
    kind: 'normal',
    ip: id,
    port: 4000,
    idc: undefined,
    location: undefined,
    disableShared: false,
    announceIntervalMs: undefined,
    ...more,
  };
  swarm.hostAnnounced(facts, nowMs);
}
function announceSeed(id: string): void {
  announce(id, { kind: 'seed' });
  swarm.hostProbed(id, true, 0);
}
const register = (hostId: string, more: Partial<RegistrationFacts> = {}, nowMs = 0): readonly Decision[] =>
  swarm.peerRegistered(
    {
      hostId,
      taskId: 'task',
      peerId: `${hostId}-peer`,
      priority: 0,
      range: undefined,
      needBackToSource: false,
      metadataOnly: false,
      contentLength: 100,
      pieceLength: 10,
      pieceCount: 10,
      ...more,
    },
    nowMs,
  );
const kinds = (decisions: readonly Decision[]): string[] => decisions.map(({ kind }) => kind);
const offered = (decisions: readonly Decision[], peerId: string): readonly string[] | undefined =>
  decisions.flatMap((decision) =>
    decision.kind === 'offerParents' && decision.peerId === peerId
      ? [decision.parents.map((parent) => parent.peerId)]
      : [],
  )[0];

/** A host with a complete copy. */
function copyAt(id: string, more: Partial<HostFacts> = {}): void {
  announce(id, more);
  register(id, { metadataOnly: true });
  swarm.peerStarted(`${id}-peer`, 0);
  swarm.peerFinished(`${id}-peer`, { fromOrigin: false }, 0);
}

describe('origin leases', () => {
  it('go to as many peers as configured, and no more', () => {
    start({ originLeaseCount: 2 });
    for (const id of ['a', 'b', 'c']) announce(id);
    expect(kinds(register('a', { needBackToSource: true }))).toEqual(['grantOrigin']);
    expect(kinds(register('b', { needBackToSource: true }))).toEqual(['grantOrigin']);
    expect(kinds(register('c', { needBackToSource: true }))).toEqual([]);
    expect(kinds(swarm.peerFailed('a-peer', { fromOrigin: true }, 0))).toEqual(['grantOrigin']);
  });

  it('outlive a broken conversation for the grace, so that its holder may come back', () => {
    announce('a');
    announce('b');
    register('a');
    register('b');
    swarm.streamLost('a-peer', 1000);
    expect(kinds(swarm.tick(5999))).toEqual([]);
    expect(kinds(register('a', {}, 5999))).toEqual(['grantOrigin']);
    expect(kinds(swarm.tick(7000))).toEqual([]);
    swarm.streamLost('a-peer', 8000);
    expect(kinds(swarm.tick(13_000))).toEqual(['grantOrigin']);
  });

  it('of a host that cannot be reached are free at once', () => {
    announce('a');
    announce('b');
    register('a');
    register('b');
    expect(kinds(swarm.streamLost('a-peer', 1000))).toEqual(['probeHost']);
    expect(kinds(swarm.hostProbed('a', false, 1010))).toEqual(['grantOrigin']);
  });

  it('of a host that does not share keep nobody else from the origin', () => {
    announce('leech', { disableShared: true });
    announce('b');
    expect(kinds(register('leech'))).toEqual(['grantOrigin']);
    expect(kinds(register('b'))).toEqual(['grantOrigin']);
  });

  it('are given beside the others when the task stands still', () => {
    announce('a');
    announce('b');
    register('a');
    register('b');
    expect(kinds(swarm.tick(9999))).toEqual([]);
    expect(swarm.tick(10_000)).toEqual([{ kind: 'grantOrigin', peerId: 'b-peer', reason: 'no parent came in time' }]);
    expect(swarm.task('task')?.countedLeases).toBe(1);
  });
});

describe('seeds', () => {
  it('are not asked again for half an hour after a failure, and not at all after the origin refused one', () => {
    announceSeed('seed-1');
    announceSeed('seed-2');
    announce('a');
    const [trigger] = register('a');
    if (trigger?.kind !== 'triggerSeed') throw new Error('no seed was triggered');
    register(trigger.seedHostId, { needBackToSource: true });
    const decisions = swarm.peerFailed(`${trigger.seedHostId}-peer`, { fromOrigin: true, originStatus: 401 }, 0);
    expect(decisions).toMatchObject([{ kind: 'grantOrigin', peerId: 'a-peer' }]);
  });

  it('that end without a copy count as failed', () => {
    announceSeed('seed');
    announce('a');
    expect(kinds(register('a'))).toEqual(['triggerSeed']);
    expect(kinds(swarm.seedTriggerEnded('task', 'seed', 0))).toEqual(['grantOrigin']);
  });

  it('are not triggered when switched off, nor by another seed', () => {
    announceSeed('seed');
    announceSeed('other');
    expect(kinds(register('other'))).toEqual(['grantOrigin']);
    start({ seedsEnabled: false });
    announceSeed('seed');
    announce('a');
    expect(kinds(register('a'))).toEqual(['grantOrigin']);
  });

  it('fetch though children complain of them, and are offered meanwhile, unless others are better', () => {
    announceSeed('overrun');
    for (const id of ['a', 'b', 'c']) {
      announce(id);
      swarm.hostBlamed('overrun', id, 'stalled', 0);
    }
    announce('d');
    expect(register('d', { taskId: 'other' })).toMatchObject([{ kind: 'triggerSeed', seedHostId: 'overrun' }]);
    const fetching = [
      ...register('overrun', { taskId: 'other', peerId: 'overrun-other', needBackToSource: true }),
      ...swarm.backToSourceStarted('overrun-other', 0),
    ];
    expect(offered(fetching, 'd-peer')).toEqual(['overrun-other']);
    announceSeed('rested');
    announce('e');
    expect(register('e', { taskId: 'third' })).toMatchObject([{ kind: 'triggerSeed', seedHostId: 'rested' }]);
  });

  it('are triggered again for a task whose copies are all gone', () => {
    announceSeed('seed');
    copyAt('a');
    announce('b');
    expect(offered(register('b'), 'b-peer')).toEqual(['a-peer']);
    swarm.hostLeft('a', 0);
    swarm.hostLeft('b', 0);
    announce('c');
    expect(kinds(register('c'))).toEqual(['triggerSeed']);
  });
});

describe('parents', () => {
  it('are near before far where their load is alike', () => {
    copyAt('far', { idc: 'elsewhere', location: 'eu|de|rack-9' });
    copyAt('near', { idc: 'HERE', location: 'eu|nl|rack-1' });
    copyAt('nearer', { idc: 'here', location: 'eu|nl|rack-2' });
    announce('child', { idc: 'here', location: 'eu|NL|rack-2|node' });
    expect(offered(register('child'), 'child-peer')).toEqual(['nearer-peer', 'near-peer', 'far-peer']);
  });

  it('are the less loaded ones, however near the others', () => {
    copyAt('near', { idc: 'here', location: 'eu|nl' });
    announce('first');
    register('first');
    copyAt('far', { idc: 'here', location: 'us' });
    swarm.hostRecognised('child');
    announce('child', { idc: 'here', location: 'eu|nl' });
    expect(offered(register('child'), 'child-peer')).toEqual(['far-peer', 'near-peer']);
  });

  it('in other data centres are no more than a fallback of ours', () => {
    copyAt('near', { idc: 'here' });
    copyAt('far', { idc: 'there' });
    copyAt('farther', { idc: 'there' });
    swarm.hostRecognised('child');
    announce('child', { idc: 'HERE' });
    const [offer] = register('child');
    if (offer?.kind !== 'offerParents') throw new Error('no parents');
    expect(offer.parents.map(({ role }) => role)).toEqual(['neighbour', 'fallback']);
    expect(offer.parents[0]?.peerId).toBe('near-peer');
  });

  it('that several children complain of are left out for a while, and looked at', () => {
    copyAt('bad');
    for (const id of ['a', 'b', 'c', 'd']) announce(id);
    for (const id of ['a', 'b', 'c']) register(id);
    expect(kinds(swarm.pieceFailed('a-peer', 'bad-peer', 0))).toEqual([]);
    expect(kinds(swarm.pieceFailed('a-peer', 'bad-peer', 0))).toEqual([]);
    expect(kinds(swarm.pieceFailed('b-peer', 'bad-peer', 0))).toEqual(['probeHost']);
    swarm.pieceFailed('c-peer', 'bad-peer', 0);
    expect(kinds(register('d'))).toEqual(['grantOrigin']);
    announce('e');
    expect(offered(register('e', {}, MINUTE_MS + 1), 'e-peer')).toContain('bad-peer');
  });

  it('are refused where even the priority bars the origin', () => {
    announce('a');
    expect(register('a', { priority: 1 })).toMatchObject([{ kind: 'refuse', code: 'failedPrecondition' }]);
    expect(register('a', { priority: 2 })).toMatchObject([{ kind: 'refuse', code: 'notFound' }]);
    expect(swarm.peer('a-peer')).toBeUndefined();
    copyAt('b');
    expect(offered(register('a', { priority: 2 }), 'a-peer')).toEqual(['b-peer']);
  });

  it('that serve as many as they may are waited for, until one leaves or the deadline comes', () => {
    start({ maxHostChildren: 1 });
    copyAt('holder');
    announce('first');
    expect(offered(register('first'), 'first-peer')).toEqual(['holder-peer']);
    announce('second');
    expect(register('second')).toEqual([]);
    expect(offered(swarm.hostLeft('first', 1000), 'second-peer')).toEqual(['holder-peer']);
    announce('third');
    expect(register('third', {}, 1000)).toEqual([]);
    expect(kinds(swarm.tick(5_000))).not.toContain('grantOrigin');
    expect(kinds(swarm.tick(12_000))).toContain('grantOrigin');
  });

  it('with only part of the content do not stand for all of it', () => {
    announce('part');
    register('part', { range: { start: 0, length: 10 } });
    swarm.backToSourceStarted('part-peer', 0);
    swarm.peerFinished('part-peer', { fromOrigin: true }, 0);
    expect(swarm.task('task')).toMatchObject({ state: 'Running', anchors: { size: 0 }, sharers: { size: 1 } });
  });
});

describe('parents that had nothing more to give', () => {
  it('are offered again once they fetch the rest from the origin', () => {
    announce('seed-like');
    register('seed-like');
    swarm.backToSourceStarted('seed-like-peer', 0);
    for (const id of ['a', 'b']) {
      swarm.hostRecognised(id);
      announce(id);
      register(id);
      swarm.peerStarted(`${id}-peer`, 0);
      swarm.pieceFinished(`${id}-peer`, 0, 'seed-like-peer', 0);
    }
    const all = ['seed-like-peer', 'a-peer', 'b-peer'];
    swarm.pieceFinished('a-peer', 1, 'seed-like-peer', 0);
    expect(swarm.hostLeft('seed-like', 0)).toMatchObject([{ kind: 'grantOrigin', peerId: 'a-peer' }]);
    expect(kinds(swarm.rescheduleRequested('b-peer', all, 0))).toEqual([]);
    expect(offered(swarm.backToSourceStarted('a-peer', 0), 'b-peer')).toEqual(['a-peer']);
    expect(kinds(swarm.rescheduleRequested('b-peer', all, 0))).toEqual([]);
  });
});

describe('hosts', () => {
  it('missing one check are in doubt, missing two they are gone until they are heard of', () => {
    copyAt('a');
    expect(kinds(swarm.hostProbed('a', false, 1000))).toEqual(['probeHost']);
    expect(swarm.host('a')?.state.kind).toBe('suspect');
    swarm.hostProbed('a', false, 1100);
    expect(swarm.host('a')?.state.kind).toBe('lost');
    expect(swarm.task('task')?.sharers.size).toBe(0);
    announce('a', {}, 2000);
    expect(swarm.task('task')?.sharers.size).toBe(1);
  });

  it('that speak after the doubt arose are not given up for a late answer', () => {
    announce('a');
    register('a');
    swarm.backToSourceStarted('a-peer', 0);
    swarm.hostProbed('a', false, 1000);
    swarm.pieceFinished('a-peer', 0, undefined, 1500);
    swarm.hostProbed('a', false, 2000);
    expect(swarm.host('a')?.state.kind).toBe('suspect');
    expect(swarm.task('task')?.anchors.size).toBe(1);
  });

  it('that miss two announcements are forgotten with their peers', () => {
    copyAt('a', { announceIntervalMs: 5 * MINUTE_MS });
    copyAt('b');
    swarm.tick(10 * MINUTE_MS);
    expect(swarm.host('a')).toBeDefined();
    swarm.tick(15 * MINUTE_MS + 1);
    expect(swarm.host('a')).toBeUndefined();
    expect(swarm.peer('a-peer')).toBeUndefined();
    expect(swarm.host('b')).toBeDefined();
  });
});

describe('expiry', () => {
  it('takes failed peers soon, silent downloads after half an hour, copies after a day, and empty tasks', () => {
    start({ hostTtlMs: 100 * 24 * 60 * MINUTE_MS });
    copyAt('copy');
    for (const id of ['failed', 'silent']) {
      announce(id);
      register(id);
      swarm.peerStarted(`${id}-peer`, 0);
    }
    swarm.peerFailed('failed-peer', { fromOrigin: false }, 0);
    swarm.tick(10_000);
    expect(swarm.peer('failed-peer')).toBeUndefined();
    expect(swarm.peer('silent-peer')).toBeDefined();
    swarm.tick(30 * MINUTE_MS + 1);
    expect(swarm.peer('silent-peer')).toBeUndefined();
    expect(swarm.peer('copy-peer')).toBeDefined();
    swarm.tick(24 * 60 * MINUTE_MS + 1);
    expect(swarm.peer('copy-peer')).toBeUndefined();
    swarm.tick(25 * 60 * MINUTE_MS);
    expect(swarm.task('task')).toBeUndefined();
  });

  it("of ours are nobody's parent once their own stream is gone for half a minute, until it is back", () => {
    announce('a');
    swarm.linkOpened('a', 0);
    copyAt('a');
    swarm.linkLost('a', 1000);
    swarm.hostProbed('a', true, 1100);
    swarm.tick(30_999);
    expect(swarm.task('task')?.sharers.size).toBe(1);
    swarm.tick(31_000);
    expect(swarm.task('task')?.sharers.size).toBe(0);
    swarm.linkOpened('a', 40_000);
    expect(swarm.task('task')?.sharers.size).toBe(1);
    swarm.linkLost('a', 50_000);
    swarm.linkOpened('a', 60_000);
    swarm.tick(90_000);
    expect(swarm.task('task')?.sharers.size).toBe(1);
  });

  it('about to leave are offered to nobody, and their children get others', () => {
    for (const id of ['a', 'b']) copyAt(id);
    announce('c');
    swarm.hostRecognised('c');
    expect(offered(register('c'), 'c-peer')).toHaveLength(2);
    swarm.peerStarted('c-peer', 0);
    swarm.hostDraining('a', 10);
    expect([...(swarm.peer('c-peer')?.parents ?? [])].map(({ id }) => id)).toEqual(['b-peer']);
    announce('d');
    expect(offered(register('d'), 'd-peer')).toEqual(expect.not.arrayContaining(['a-peer']));
    announce('a', {}, 100);
    expect(swarm.task('task')?.anchors.size).toBe(2);
  });

  it('keeps every table within its bounds', () => {
    start({ maxHosts: 2, maxPeers: 1 });
    announce('a');
    announce('b');
    announce('c');
    expect(swarm.host('c')).toBeUndefined();
    register('a');
    expect(register('b')).toMatchObject([{ kind: 'refuse', code: 'resourceExhausted' }]);
    swarm.pieceFinished('a-peer', 4_000_000_000, undefined, 0);
    expect(swarm.peer('a-peer')?.finishedPieces.size).toBe(0);
  });
});

describe('a peer', () => {
  it('may tell of many pieces at once, of which those that cannot be are passed over', () => {
    announce('a');
    announce('b');
    copyAt('holder');
    register('a');
    swarm.peerStarted('a-peer', 0);
    const deliveries = [{ parentId: 'holder-peer', pieces: 2, bytes: 20, durationMs: 5 }];
    swarm.piecesFinished('a-peer', { pieces: [3, 1, 3, 10, -1, 0.5], deliveries }, 700);
    expect([...(swarm.peer('a-peer')?.finishedPieces ?? [])]).toEqual([1, 3]);
    expect(swarm.peer('holder-peer')?.updatedAtMs).toBe(700);
  });

  it('that takes a download up again brings the pieces it has: no seed fetches them a second time', () => {
    announceSeed('seed');
    announce('a');
    expect(kinds(register('a', { heldPieces: [0, 1] }))).toEqual(['grantOrigin']);
    expect(swarm.peer('a-peer')?.finishedPieces.size).toBe(2);
  });

  it('belongs to one host and one task', () => {
    announce('a');
    announce('b');
    register('a');
    expect(register('b', { peerId: 'a-peer' })).toMatchObject([{ kind: 'refuse', code: 'failedPrecondition' }]);
    expect(register('a', { taskId: 'other' })).toMatchObject([{ kind: 'refuse', code: 'failedPrecondition' }]);
  });

  it('tried anew by its host takes the place of the attempt whose conversation broke', () => {
    announce('a');
    register('a');
    swarm.backToSourceStarted('a-peer', 0);
    swarm.streamLost('a-peer', 100);
    expect(kinds(register('a', { peerId: 'second-attempt' }, 200))).toEqual(['grantOrigin']);
    expect(swarm.peer('a-peer')).toBeUndefined();
  });
});
