import { describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import { Swarm } from './swarm.ts';

const MIB = 2 ** 20;

/** A swarm of stock daemons, some of which have everything. */
function swarmOf(holders: readonly string[], children: readonly string[]) {
  const swarm = new Swarm({ settleMs: 0, seedsEnabled: false, gatherMs: 0 }, seededRandom(3), 0);
  const join = (id: string, metadataOnly: boolean): Decision[] => {
    const facts = { id, kind: 'normal', ip: id, port: 1, idc: undefined, location: undefined } as const;
    swarm.hostAnnounced({ ...facts, disableShared: false, announceIntervalMs: undefined }, 0);
    return swarm.peerRegistered(
      {
        ...{ hostId: id, peerId: id, taskId: 'task', priority: 0, range: undefined, needBackToSource: false },
        ...{ metadataOnly, contentLength: 100 * MIB, pieceLength: MIB, pieceCount: 100 },
      },
      0,
    );
  };
  for (const id of holders) {
    join(id, true);
    swarm.peerStarted(id, 0);
    swarm.peerFinished(id, { fromOrigin: false }, 0);
  }
  for (const id of children) {
    join(id, false);
    swarm.peerStarted(id, 0);
  }
  const report = (child: string, parentId: string, rate: number): void => {
    const delivery = { parentId, pieces: 1, bytes: MIB, durationMs: MIB / rate };
    swarm.piecesFinished(child, { pieces: [], deliveries: [delivery] }, 0);
  };
  const offerTo = (id: string): readonly string[] =>
    join(id, false).flatMap((decision) =>
      decision.kind === 'offerParents' ? decision.parents.map(({ peerId }) => peerId) : [],
    );
  return { swarm, report, offerTo };
}

/** Everybody hears this rate of the parent. */
function reportAll(
  report: (child: string, parent: string, rate: number) => void,
  rates: Readonly<Record<string, number>>,
  children: readonly string[],
): void {
  for (let round = 0; round < 10; round++)
    for (const [parent, rate] of Object.entries(rates)) for (const child of children) report(child, parent, rate);
}

describe('a host that uploads far slower than others', () => {
  it('is found by what several children report, and comes last in offers', () => {
    const { swarm, report, offerTo } = swarmOf(['slow', 'one', 'two'], ['a', 'b']);
    reportAll(report, { slow: 100, one: 10_000, two: 12_000 }, ['a', 'b']);
    expect([...swarm.hosts()].filter(({ isSlow }) => isSlow).map(({ id }) => id)).toEqual(['slow']);
    const places = ['c', 'd', 'e', 'f'].map((child) => offerTo(child).indexOf('slow'));
    expect(places.filter((place) => place === 0 || place === 1)).toEqual([]);
  });

  it('is not found by one child alone, which may be what is slow', () => {
    const { swarm, report } = swarmOf(['slow', 'one', 'two'], ['a', 'b']);
    reportAll(report, { one: 10_000, two: 12_000 }, ['a', 'b']);
    reportAll(report, { slow: 100 }, ['a']);
    expect(swarm.host('slow')?.isSlow).toBe(false);
    reportAll(report, { slow: 100 }, ['b']);
    reportAll(report, { one: 10_000, two: 12_000 }, ['a', 'b']);
    report('b', 'slow', 100);
    expect(swarm.host('slow')?.isSlow).toBe(true);
  });

  it('is taken for as good as others once it is as fast', () => {
    const { swarm, report } = swarmOf(['slow', 'one', 'two'], ['a', 'b']);
    reportAll(report, { slow: 100, one: 10_000, two: 12_000 }, ['a', 'b']);
    expect(swarm.host('slow')?.isSlow).toBe(true);
    reportAll(report, { slow: 11_000, one: 10_000, two: 12_000 }, ['a', 'b']);
    expect(swarm.host('slow')?.isSlow).toBe(false);
  });

  it('is slow beside what is usual, not beside those who reported last', () => {
    const { swarm, report } = swarmOf(['slow', 'one', 'two'], ['a', 'b']);
    reportAll(report, { one: 10_000, two: 12_000 }, ['a', 'b']);
    reportAll(report, { slow: 100 }, ['a', 'b']);
    expect(swarm.host('slow')?.isSlow).toBe(true);
    expect(swarm.host('one')?.isSlow).toBe(false);
  });
});
