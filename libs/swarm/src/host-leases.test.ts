import { beforeEach, describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import { Swarm } from './swarm.ts';

const HOSTS = ['a', 'b', 'c', 'd'];
let swarm: Swarm;

const register = (hostId: string, nowMs = 0, needBackToSource = false): readonly Decision[] =>
  swarm.peerRegistered(
    {
      ...{ hostId, taskId: 'task', peerId: `${hostId}-peer`, priority: 0, range: undefined, needBackToSource },
      ...{ metadataOnly: false, contentLength: 100, pieceLength: 10, pieceCount: 10 },
    },
    nowMs,
  );
const granted = (decisions: readonly Decision[]) =>
  decisions.flatMap((decision) => (decision.kind === 'grantOrigin' ? [decision.peerId] : []));

beforeEach(() => {
  swarm = new Swarm({ settleMs: 0, hostLeaseMs: 1000, leaseGraceMs: 100 }, seededRandom(1), 0);
  for (const id of HOSTS)
    swarm.hostAnnounced(
      {
        ...{ id, kind: 'normal', ip: id, port: 4000, idc: undefined, location: undefined, disableShared: false },
        announceIntervalMs: undefined,
      },
      0,
    );
});

/** A task whose first peer has everything, and another that fetches from it. */
function taskWithParent(): void {
  register('a');
  swarm.backToSourceStarted('a-peer', 0);
  swarm.peerFinished('a-peer', { fromOrigin: true }, 0);
  register('b');
  swarm.peerStarted('b-peer', 0);
}

describe('the lease of a host', () => {
  it('counts like any other: one at a time, until it is returned', () => {
    taskWithParent();
    expect(swarm.leaseRequested('b', 'task', 1)).toBe(true);
    expect(swarm.leaseRequested('c', 'task', 1)).toBe(false);
    expect(swarm.task('task')?.countedLeases).toBe(1);
    swarm.leaseReturned('b', 'task', 2);
    expect(swarm.leaseRequested('c', 'task', 2)).toBe(true);
    expect(swarm.leaseRequested('b', 'task', 2)).toBe(false);
  });

  it('is not to be had while a peer of another host is at the origin', () => {
    register('a');
    swarm.backToSourceStarted('a-peer', 0);
    expect(swarm.leaseRequested('b', 'task', 1)).toBe(false);
    expect(swarm.leaseRequested('a', 'task', 1)).toBe(true);
    expect(swarm.task('task')?.countedLeases).toBe(1);
  });

  it('is given only to those who go on asking while a live daemon of ours has the content', () => {
    taskWithParent();
    swarm.linkOpened('a', 0);
    for (const nowMs of [0, 1000, 1999]) expect(swarm.leaseRequested('b', 'task', nowMs)).toBe(false);
    expect(swarm.leaseRequested('b', 'task', 2000)).toBe(true);
    swarm.leaseReturned('b', 'task', 2001);
    // It was late once; that says nothing of the next time.
    expect(swarm.leaseRequested('b', 'task', 6000)).toBe(false);
    // A pause means that the pieces came after all.
    expect(swarm.leaseRequested('b', 'task', 12_000)).toBe(false);
    swarm.linkLost('a', 12_001);
    expect(swarm.leaseRequested('b', 'task', 12_002)).toBe(true);
  });

  it('has a host wait longer that gets pieces of another task meanwhile, until the last of them is long ago', () => {
    taskWithParent();
    swarm.linkOpened('a', 0);
    const rest = { range: undefined, needBackToSource: false, metadataOnly: false };
    const other = { ...rest, taskId: 'other', priority: 0 } as const;
    const size = { contentLength: 100, pieceLength: 10, pieceCount: 10 };
    for (const hostId of ['a', 'b']) swarm.peerRegistered({ ...other, ...size, hostId, peerId: `${hostId}-other` }, 0);
    for (let second = 0; second <= 30; second++) {
      const nowMs = second * 1000;
      if (second % 5 === 0 && second <= 20) swarm.pieceFinished('b-other', second / 5, 'a-other', nowMs);
      expect(swarm.leaseRequested('b', 'task', nowMs)).toBe(second >= 30);
    }
  });

  it('ends by itself unless it is renewed', () => {
    taskWithParent();
    swarm.leaseRequested('b', 'task', 0);
    swarm.tick(900);
    expect(swarm.leaseRequested('b', 'task', 900)).toBe(true);
    swarm.tick(1000);
    expect(swarm.leaseRequested('c', 'task', 1000)).toBe(false);
    swarm.tick(1900);
    expect(swarm.leaseRequested('c', 'task', 1900)).toBe(true);
  });

  it('ends shortly after its stream broke, and lasts when the host comes back and asks again', () => {
    taskWithParent();
    swarm.leaseRequested('b', 'task', 0);
    expect(swarm.linkLost('b', 10)).toEqual([{ kind: 'probeHost', hostId: 'b' }]);
    expect(swarm.leaseRequested('b', 'task', 50)).toBe(true);
    swarm.tick(200);
    expect(swarm.leaseRequested('c', 'task', 200)).toBe(false);
    swarm.linkLost('b', 300);
    swarm.tick(400);
    expect(swarm.leaseRequested('c', 'task', 400)).toBe(true);
  });

  it('ends with its host', () => {
    taskWithParent();
    swarm.leaseRequested('b', 'task', 0);
    swarm.hostLeft('b', 1);
    expect(swarm.leaseRequested('c', 'task', 1)).toBe(true);
  });

  it('goes over to the peer of the host when that is sent to the origin', () => {
    taskWithParent();
    swarm.leaseRequested('c', 'task', 0);
    expect(granted(register('c', 1, true))).toEqual(['c-peer']);
    expect(swarm.task('task')?.countedLeases).toBe(1);
    swarm.leaseReturned('c', 'task', 2);
    expect(swarm.task('task')?.countedLeases).toBe(1);
  });

  it('wakes who waits for it when it is returned', () => {
    register('a');
    swarm.backToSourceStarted('a-peer', 0);
    swarm.deletePeer('a-peer', 0);
    expect(swarm.leaseRequested('b', 'task', 1)).toBe(true);
    expect(granted(register('c', 2))).toEqual([]);
    expect(granted(swarm.leaseReturned('b', 'task', 3))).toEqual(['c-peer']);
  });

  it('is not for hosts or tasks that nobody knows', () => {
    taskWithParent();
    expect(swarm.leaseRequested('b', 'other', 0)).toBe(false);
    expect(swarm.leaseRequested('stranger', 'task', 0)).toBe(false);
  });
});

describe('a host that is blamed', () => {
  const parentsOf = (decisions: readonly Decision[]) =>
    decisions.flatMap((decision) =>
      decision.kind === 'offerParents' ? decision.parents.map(({ peerId }) => peerId) : [],
    );

  it.each(['wrongBytes', 'falseVoucher'] as const)(
    'for %s by several others is nobody’s parent for a while',
    (offence) => {
      taskWithParent();
      for (const by of ['b', 'c']) swarm.hostBlamed('a', by, offence, 0);
      expect(swarm.isDistrusted('a', 0)).toBe(false);
      swarm.hostBlamed('a', 'd', offence, 60_000);
      expect(swarm.isDistrusted('a', 60_000)).toBe(true);
      expect(parentsOf(register('c', 60_001))).not.toContain('a-peer');
      expect(swarm.isDistrusted('a', 60_000 + 10 * 60_000)).toBe(false);
    },
  );

  it('is not judged by one host alone, by itself or by strangers', () => {
    taskWithParent();
    for (let count = 0; count < 5; count++) swarm.hostBlamed('a', 'b', 'wrongBytes', count);
    for (const by of ['a', 'stranger', 'another stranger', 'c']) swarm.hostBlamed('a', by, 'wrongBytes', 6);
    expect(swarm.isDistrusted('a', 6)).toBe(false);
    expect(parentsOf(register('c', 7))).toContain('a-peer');
  });

  it('for not delivering is looked at, and left out, but its word counts', () => {
    taskWithParent();
    expect(swarm.hostBlamed('a', 'b', 'stalled', 0)).toEqual([]);
    expect(swarm.hostBlamed('a', 'c', 'unreachable', 0)).toEqual([{ kind: 'probeHost', hostId: 'a' }]);
    swarm.hostBlamed('a', 'd', 'stalled', 0);
    expect(swarm.isDistrusted('a', 0)).toBe(false);
    expect(parentsOf(register('c', 1))).not.toContain('a-peer');
  });
});
