import { describe, expect, it } from '@jest/globals';
import type { Decision } from './decision.ts';
import type { HostFacts, HostKind } from './host.ts';
import { Swarm } from './swarm.ts';

const TASK = 'task';
const size = { contentLength: 400, pieceLength: 100, pieceCount: 4 };

const hostFacts = (id: string, kind: HostKind = 'normal'): HostFacts => ({
  ...{ id, kind, ip: '127.0.0.1', port: 4000, disableShared: false },
  ...{ idc: undefined, location: undefined, announceIntervalMs: undefined },
});
const holder = (hostId: string) =>
  ({ hostId, taskId: TASK, peerId: `${hostId}-peer`, priority: 0, concurrentPieceCount: 8 }) as const;

function restored(hosts: readonly HostFacts[], holders: readonly string[]) {
  const swarm = new Swarm({ settleMs: 0 }, () => 0.5, 0);
  const tasks = [{ id: TASK, size, isPrivate: false }];
  const decisions = swarm.restore({ hosts, tasks, holders: holders.map(holder) }, 0);
  return { swarm, decisions };
}

function register(swarm: Swarm, hostId: string, nowMs: number): readonly Decision[] {
  swarm.hostAnnounced(hostFacts(hostId), nowMs);
  return swarm.peerRegistered(
    {
      ...{ hostId, taskId: TASK, peerId: `${hostId}-peer`, priority: 0, range: undefined, ...size },
      ...{ needBackToSource: false, metadataOnly: false },
    },
    nowMs,
  );
}
const kinds = (decisions: readonly Decision[]) => decisions.map(({ kind }) => kind);

describe('a swarm that remembers', () => {
  it('offers nobody of whose host it has not heard, asks whether it is there, and then does', () => {
    const { swarm, decisions } = restored([hostFacts('a')], ['a']);
    expect(decisions).toEqual([]);
    expect(register(swarm, 'b', 10)).toEqual([{ kind: 'probeHost', hostId: 'a' }]);
    expect(swarm.hostProbed('a', true, 20)).toEqual([
      expect.objectContaining({ kind: 'offerParents', peerId: 'b-peer' }),
    ]);
  });

  it('offers a host at once that has come back by itself', () => {
    const { swarm } = restored([hostFacts('a')], ['a']);
    swarm.hostAnnounced(hostFacts('a'), 5);
    expect(kinds(register(swarm, 'b', 10))).toEqual(['offerParents']);
    const { swarm: another } = restored([hostFacts('a')], ['a']);
    another.linkOpened('a', 5);
    expect(kinds(register(another, 'b', 10))).toEqual(['offerParents']);
  });

  it('lets a child go to the origin when none of those it remembers is there', () => {
    const { swarm } = restored([hostFacts('a'), hostFacts('c')], ['a', 'c']);
    expect(kinds(register(swarm, 'b', 10))).toEqual(['probeHost', 'probeHost']);
    expect(swarm.hostProbed('a', false, 20)).toEqual([]);
    expect(kinds(swarm.hostProbed('c', false, 30))).toEqual(['grantOrigin']);
  });

  it('does not let anybody wait for an answer that does not come', () => {
    const { swarm } = restored([hostFacts('a')], ['a']);
    register(swarm, 'b', 10);
    expect(kinds(swarm.tick(31_000))).toContain('grantOrigin');
  });

  it('looks at seeds by itself', () => {
    const { swarm, decisions } = restored([hostFacts('s', 'seed')], ['s']);
    expect(decisions).toEqual([{ kind: 'probeHost', hostId: 's' }]);
    swarm.hostProbed('s', true, 5);
    expect(kinds(register(swarm, 'b', 10))).toEqual(['offerParents']);
  });

  it('leaves out what has no host or no task', () => {
    const { swarm } = restored([hostFacts('a')], ['a', 'nobody']);
    expect([...swarm.peers()].map(({ id }) => id)).toEqual(['a-peer']);
    const empty = new Swarm({}, () => 0.5, 0);
    empty.restore({ hosts: [hostFacts('a')], tasks: [], holders: [holder('a')] }, 0);
    expect([...empty.peers()]).toEqual([]);
  });

  it('tells of a holder once it has everything, and once when it is gone', () => {
    const swarm = new Swarm({ settleMs: 0 }, () => 0.5, 0);
    const told: string[] = [];
    swarm.watch({
      holderCame: ({ id }) => void told.push(`+${id}`),
      holderLeft: ({ id }) => void told.push(`-${id}`),
      hostLeft: ({ id }) => void told.push(`-${id}`),
    });
    register(swarm, 'a', 0);
    swarm.backToSourceStarted('a-peer', 1);
    swarm.pieceFinished('a-peer', 0, undefined, 2);
    expect(told).toEqual([]);
    swarm.peerFinished('a-peer', { fromOrigin: true }, 3);
    swarm.tick(1_000);
    expect(told).toEqual(['+a-peer']);
    swarm.hostLeft('a', 4);
    expect(told).toEqual(['+a-peer', '-a-peer', '-a']);
  });
});
