import { beforeEach, describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import type { RegistrationFacts } from './facts.ts';
import { Swarm } from './swarm.ts';

const SETTLE_MS = 5000;
let swarm: Swarm;
let nowMs: number;

function announce(id: string, kind: 'normal' | 'seed' = 'normal'): void {
  swarm.linkOpened(id, nowMs);
  const place = { idc: undefined, location: undefined, disableShared: false, announceIntervalMs: undefined };
  swarm.hostAnnounced({ id, kind, ip: id, port: 4000, ...place }, nowMs);
  if (kind === 'seed') swarm.hostProbed(id, true, nowMs);
}
function register(hostId: string, more: Partial<RegistrationFacts> = {}): readonly Decision[] {
  const ids = { hostId, taskId: 'task', peerId: `${hostId}-peer`, priority: 0 as const, range: undefined };
  const size = { contentLength: 100, pieceLength: 10, pieceCount: 10 };
  return swarm.peerRegistered({ ...ids, ...size, needBackToSource: false, metadataOnly: false, ...more }, nowMs);
}
const granted = (decisions: readonly Decision[]) =>
  decisions.flatMap((decision) => (decision.kind === 'grantOrigin' ? [decision] : []));

beforeEach(() => {
  swarm = new Swarm({ settleMs: SETTLE_MS }, seededRandom(1), 0);
  nowMs = 0;
});

describe('a task of which nobody is left who has everything', () => {
  beforeEach(() => {
    announce('seed', 'seed');
    announce('a');
    register('a');
    register('seed', { needBackToSource: true });
    swarm.backToSourceStarted('seed-peer', nowMs);
    for (const id of ['b', 'c']) {
      announce(id);
      register(id);
    }
    nowMs = 1000;
    swarm.tick(nowMs);
    for (const [id, count] of Object.entries({ a: 3, b: 5, c: 4 })) {
      swarm.peerStarted(`${id}-peer`, nowMs);
      for (let piece = 0; piece < count; piece++) swarm.pieceFinished(`${id}-peer`, piece, 'seed-peer', nowMs);
    }
  });

  it('is fetched at once by the one that has most, the pieces first that nobody has', () => {
    expect(granted(swarm.hostLeft('seed', nowMs))).toMatchObject([{ peerId: 'b-peer' }]);
    swarm.backToSourceStarted('b-peer', nowMs);
    expect([...(swarm.task('task')?.anchors ?? [])].map(({ id }) => id)).toEqual(['b-peer']);
  });

  it('waits for one whose stream broke, as long as its lease lasts, and goes on when its host is gone', () => {
    expect(granted(swarm.streamLost('seed-peer', nowMs))).toEqual([]);
    expect(granted(swarm.tick(nowMs + 1000))).toEqual([]);
    expect(granted(swarm.hostProbed('seed', false, nowMs + 1001))).toMatchObject([{ peerId: 'b-peer' }]);
  });

  it('is fetched by one at a time', () => {
    swarm.hostLeft('seed', nowMs);
    expect(granted(swarm.tick(nowMs + 1))).toEqual([]);
    expect(granted(swarm.hostLeft('b', nowMs + 2))).toMatchObject([{ peerId: 'c-peer' }]);
    expect(swarm.task('task')?.countedLeases).toBe(1);
  });
});

describe('a swarm that has just begun and finds a download half-way', () => {
  const heldPieces = [0, 1, 2];

  it('waits for the seed that fetches it, though others register before', () => {
    announce('a');
    announce('seed', 'seed');
    expect(granted(register('a', { heldPieces }))).toEqual([]);
    announce('b');
    expect(granted(register('b'))).toEqual([]);
    nowMs = 200;
    expect(granted(swarm.tick(nowMs))).toEqual([]);
    expect(granted(register('seed', { heldPieces, needBackToSource: true }))).toMatchObject([{ peerId: 'seed-peer' }]);
    swarm.backToSourceStarted('seed-peer', nowMs);
    expect(swarm.peer('a-peer')?.demand.kind).toBe('none');
    expect(swarm.task('task')?.countedLeases).toBe(1);
  });

  it('sends somebody to the origin when none has come by then', () => {
    for (const id of ['a', 'b']) {
      announce(id);
      register(id, { heldPieces });
      swarm.peerStarted(`${id}-peer`, nowMs);
    }
    expect(granted(swarm.tick(SETTLE_MS - 1))).toEqual([]);
    expect(granted(swarm.tick(SETTLE_MS))).toHaveLength(1);
  });
});

describe('a host that gets pieces of one task while it waits for those of another', () => {
  it('is given leave to fetch from the origin later than an idle one', () => {
    announce('seed', 'seed');
    register('seed', { needBackToSource: true });
    swarm.backToSourceStarted('seed-peer', nowMs);
    for (const id of ['busy', 'idle']) {
      announce(id);
      register(id);
      swarm.peerStarted(`${id}-peer`, nowMs);
    }
    swarm.peerFinished('seed-peer', { fromOrigin: true }, nowMs);
    register('busy', { taskId: 'other', peerId: 'other-peer' });
    const isGranted = { busy: false, idle: false };
    for (nowMs = 0; nowMs <= 10_000; nowMs += 1000) {
      swarm.pieceFinished('other-peer', nowMs / 1000, 'elsewhere', nowMs);
      isGranted.busy ||= swarm.leaseRequested('busy', 'task', nowMs);
    }
    for (; nowMs <= 13_000; nowMs += 1000) isGranted.idle ||= swarm.leaseRequested('idle', 'task', nowMs);
    expect(isGranted).toEqual({ busy: false, idle: true });
  });
});
