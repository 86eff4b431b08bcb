import { describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Decision, OfferedParent } from './decision.ts';
import { Swarm } from './swarm.ts';

const HOSTS = 200;
const ZONES = 4;

const hostId = (number: number): string => `host-${number}`;
const peerId = (number: number): string => `peer-${number}`;

/** A task that peers of four data centres want at once, while one of the first fetches it. */
function start(): { swarm: Swarm; offers: Map<string, readonly OfferedParent[]>; obey: (made: Decision[]) => void } {
  const swarm = new Swarm({ settleMs: 0 }, seededRandom(1), 0);
  const offers = new Map<string, readonly OfferedParent[]>();
  const obey = (decisions: readonly Decision[]): void => {
    for (const decision of decisions)
      if (decision.kind === 'offerParents') offers.set(decision.peerId, decision.parents);
  };
  for (let number = 0; number <= HOSTS; number++) {
    swarm.hostRecognised(hostId(number));
    const facts = { id: hostId(number), kind: 'normal' as const, ip: hostId(number), port: 4000 };
    const place = { idc: `zone-${number % ZONES}`, location: undefined, disableShared: false };
    swarm.hostAnnounced({ ...facts, ...place, announceIntervalMs: undefined }, 0);
    const peer = { hostId: hostId(number), taskId: 'task', peerId: peerId(number), priority: 0 as const };
    const wish = { range: undefined, needBackToSource: false, metadataOnly: false };
    obey(swarm.peerRegistered({ ...peer, ...wish, contentLength: 400, pieceLength: 4, pieceCount: 100 }, 0));
    if (number === 0) obey(swarm.backToSourceStarted(peerId(0), 0));
  }
  for (let nowMs = 10; nowMs <= 2000; nowMs += 10) {
    obey(swarm.tick(nowMs));
    for (const id of offers.keys()) obey(swarm.peerStarted(id, nowMs));
  }
  return { swarm, offers, obey };
}

describe('a task in several zones', () => {
  it('comes into each through one gateway or two, and the others have one parent elsewhere, as a fallback', () => {
    const { swarm, offers } = start();
    const gateways = new Map<string | undefined, number>();
    for (const [id, parents] of offers) {
      const zone = swarm.peer(id)?.host.facts.idc;
      const remote = parents.filter(({ peerId: parentId }) => swarm.peer(parentId)?.host.facts.idc !== zone);
      const isGateway = remote.some(({ role }) => role === 'neighbour');
      if (isGateway) gateways.set(zone, (gateways.get(zone) ?? 0) + 1);
      else expect(remote.length).toBeLessThanOrEqual(1);
    }
    for (const zone of ['zone-1', 'zone-2', 'zone-3']) expect([1, 2]).toContain(gateways.get(zone));
  });

  it('has another gateway soon after one is gone', () => {
    const { swarm, offers, obey } = start();
    const inZone = (id: string): boolean => swarm.peer(id)?.host.facts.idc === 'zone-1';
    const isGateway = ([id, parents]: [string, readonly OfferedParent[]]): boolean =>
      inZone(id) && parents.some((parent) => parent.role === 'neighbour' && !inZone(parent.peerId));
    const gone = [...offers].filter(isGateway).map(([id]) => id);
    expect(gone.length).toBeGreaterThan(0);
    for (const id of gone) {
      obey(swarm.hostLeft(swarm.peer(id)?.host.id ?? '', 2100));
      offers.delete(id);
    }
    for (let nowMs = 2100; nowMs <= 3000; nowMs += 50) obey(swarm.tick(nowMs));
    expect([...offers].filter(isGateway).length).toBeGreaterThan(0);
  });
});
