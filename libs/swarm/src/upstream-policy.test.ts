import { beforeEach, describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import type { RegistrationFacts } from './facts.ts';
import type { HostFacts } from './host.ts';
import { Swarm } from './swarm.ts';
import { upstreamPolicy } from './upstream-policy.ts';
import type { UpstreamRules } from './upstream-policy.ts';

let swarm: Swarm;
let nowMs = 0;

function start(rules: Partial<UpstreamRules> = {}): void {
  nowMs = 0;
  swarm = new Swarm({ policy: upstreamPolicy(rules), settleMs: 0 }, seededRandom(7), 0);
}
beforeEach(() => start());

function announce(id: string, more: Partial<HostFacts> = {}): void {
  swarm.hostAnnounced(
    {
      ...{ id, kind: 'normal', ip: id, port: 4000, idc: undefined, location: undefined, disableShared: false },
      announceIntervalMs: undefined,
      ...more,
    },
    nowMs,
  );
  if (more.kind === 'seed') swarm.hostProbed(id, true, nowMs);
}
const register = (hostId: string, more: Partial<RegistrationFacts> = {}): Decision[] =>
  swarm.peerRegistered(
    {
      ...{ hostId, taskId: 'task', peerId: `${hostId}-peer`, priority: 0, range: undefined, needBackToSource: false },
      ...{ metadataOnly: false, contentLength: 400, pieceLength: 4, pieceCount: 100 },
      ...more,
    },
    nowMs,
  );

/** Lets time pass as the swarm asks for it. @returns what was decided, and when */
function pass(decisions: readonly Decision[], untilMs: number): { atMs: number; decision: Decision }[] {
  const made = decisions.map((decision) => ({ atMs: nowMs, decision }));
  const due = made.flatMap(({ decision }) => (decision.kind === 'tickAt' ? [decision.atMs] : []));
  for (;;) {
    const nextMs = due.sort((a, b) => a - b).shift();
    if (nextMs === undefined || nextMs > untilMs) break;
    nowMs = nextMs;
    for (const decision of swarm.tick(nowMs)) {
      made.push({ atMs: nowMs, decision });
      if (decision.kind === 'tickAt') due.push(decision.atMs);
    }
  }
  nowMs = untilMs;
  return made.filter(({ decision }) => decision.kind !== 'tickAt');
}
const parentsOf = (made: readonly { decision: Decision }[]): readonly string[] =>
  made.flatMap(({ decision }) =>
    decision.kind === 'offerParents' ? decision.parents.map(({ peerId }) => peerId) : [],
  );
/** A host with a complete copy. */
function copyAt(id: string, more: Partial<HostFacts> = {}): void {
  announce(id, more);
  register(id, { metadataOnly: true });
  swarm.peerStarted(`${id}-peer`, nowMs);
  swarm.peerFinished(`${id}-peer`, { fromOrigin: true }, nowMs);
}
/** A seed at the origin. */
function seedAtOrigin(): void {
  announce('seed', { kind: 'seed' });
  expect(register('seed', { needBackToSource: true }).map(({ kind }) => kind)).toEqual(['grantOrigin']);
  swarm.backToSourceStarted('seed-peer', nowMs);
}

describe('upstreamPolicy', () => {
  it('puts a registration off by half to one and a half of 60 ms, and offers the seed at the origin', () => {
    seedAtOrigin();
    announce('a');
    const made = pass(register('a'), 1000);
    expect(parentsOf(made)).toEqual(['seed-peer']);
    expect(made[0]?.atMs).toBeGreaterThanOrEqual(30);
    expect(made[0]?.atMs).toBeLessThan(90);
  });

  it('tries four times, half a second apart, before it sends a peer to the origin', () => {
    announce('seed', { kind: 'seed' });
    announce('a');
    const made = pass(register('a'), 10_000);
    expect(made.map(({ decision }) => decision.kind)).toEqual(['triggerSeed', 'grantOrigin']);
    const waitedMs = (made[1]?.atMs ?? 0) - (made[0]?.atMs ?? 0);
    expect(waitedMs).toBeGreaterThanOrEqual(4 * 375);
    expect(waitedMs).toBeLessThan(4 * 625);
  });

  it('turns a peer down after five attempts where more than backToSourceCount are at the origin', () => {
    start({ backToSourceCount: 0 });
    announce('leech', { disableShared: true });
    pass(register('leech'), 100);
    swarm.backToSourceStarted('leech-peer', nowMs);
    announce('a');
    const [refused, ...rest] = pass(register('a'), 10_000);
    expect(refused?.decision).toMatchObject({ kind: 'refuse', code: 'failedPrecondition' });
    expect(rest).toEqual([]);
  });

  it('triggers no seed for a task that is Running, however dead', () => {
    announce('seed', { kind: 'seed' });
    announce('a');
    expect(pass(register('a'), 100).map(({ decision }) => decision.kind)).toEqual(['triggerSeed']);
    announce('b');
    expect(pass(register('b'), 200).map(({ decision }) => decision.kind)).toEqual([]);
  });

  it('leaves out peers without parents, those that have not started, and outliers', () => {
    seedAtOrigin();
    for (const id of ['a', 'b', 'c']) announce(id);
    pass(register('a'), 500);
    expect(parentsOf(pass(register('b'), 1000))).toEqual(['seed-peer']);
    for (const id of ['a', 'b']) swarm.peerStarted(`${id}-peer`, nowMs);
    const deliver = (durationMs: number): unknown =>
      swarm.piecesFinished(
        'a-peer',
        { pieces: [1], deliveries: [{ parentId: 'seed-peer', pieces: 1, bytes: 4, durationMs }] },
        nowMs,
      );
    deliver(10);
    deliver(201);
    expect(parentsOf(pass(register('c'), 2000))).toEqual(['b-peer', 'seed-peer']);
    deliver(10);
    announce('d');
    expect(parentsOf(pass(register('d'), 3000)).toSorted()).toEqual(['a-peer', 'b-peer', 'seed-peer']);
  });

  it('never closes a circle, and blocks for good whom a reschedule lists', () => {
    seedAtOrigin();
    for (const id of ['a', 'b']) announce(id);
    pass(register('a'), 500);
    swarm.peerStarted('a-peer', nowMs);
    swarm.pieceFailed('a-peer', 'seed-peer', nowMs);
    expect(parentsOf(pass(register('b'), 1000)).toSorted()).toEqual(['a-peer', 'seed-peer']);
    swarm.peerStarted('b-peer', nowMs);
    // Of the two that are left one is blocked and the other is a child.
    const made = pass(swarm.rescheduleRequested('a-peer', ['seed-peer'], nowMs), 10_000);
    expect(made.map(({ decision }) => decision.kind)).toEqual(['grantOrigin']);
    swarm.backToSourceStarted('a-peer', nowMs);
    expect(swarm.peer('a-peer')?.state).toBe('Running');
  });

  it('ranks by load, data centre, place and kind of host', () => {
    const gigabit = 1e9;
    copyAt('far', { uploadBitsPerSecond: gigabit });
    copyAt('near', { idc: 'HERE', location: 'eu|nl|rack-1', uploadBitsPerSecond: gigabit });
    copyAt('nearer', { idc: 'here', location: 'eu|nl|rack-2', uploadBitsPerSecond: gigabit });
    announce('child', { idc: 'here', location: 'eu|NL|rack-2' });
    expect(parentsOf(pass(register('child'), 500))).toEqual(['nearer-peer', 'near-peer', 'far-peer']);
    expect(swarm.host('near')?.uploads).toEqual({ children: 1, bitsPerSecond: 256, pieces: 8, contentLength: 400 });
  });

  it('decides the same for the same facts and seed', () => {
    const run = (): unknown => {
      start();
      seedAtOrigin();
      const made: unknown[] = [];
      for (let host = 0; host < 50; host++) {
        announce(`h${host}`);
        made.push(pass(register(`h${host}`), nowMs + 20));
        swarm.peerStarted(`h${host}-peer`, nowMs);
      }
      return made;
    };
    expect(run()).toEqual(run());
  });

  it('looks at as many peers, and offers as many, as it was told last', () => {
    for (const id of ['a', 'b', 'c', 'd']) copyAt(id);
    swarm.adjust({ candidateParentLimit: 4 });
    announce('child');
    expect(parentsOf(pass(register('child'), nowMs + 1000))).toHaveLength(4);
    swarm.adjust({ filterParentLimit: 2 });
    announce('next');
    expect(parentsOf(pass(register('next'), nowMs + 1000)).length).toBeLessThanOrEqual(2);
  });
});
