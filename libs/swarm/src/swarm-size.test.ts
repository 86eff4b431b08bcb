import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import type { PeerView } from './peer.ts';
import { Swarm } from './swarm.ts';

/** Everybody in a full run (tools/test --full); what is measured does not depend on how many they are. */
const PEERS = process.env['D7Y_TEST_FULL'] === '1' ? 100_000 : 20_000;
const MAX_BYTES_PER_PEER = 2048;
/** The first, and one more where others came for whom there was room. */
const MAX_OFFERS_PER_PEER = 2;
const CROWD_MS = 50;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes. */
function heapSize(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('a crowd that registers within 50 ms', () => {
  it('has about sixteen parents each, for 2 KiB and two offers a peer', () => {
    const swarm = new Swarm({ settleMs: 0, maxHosts: PEERS + 1 }, seededRandom(1), 0);
    const ids = Array.from({ length: PEERS }, (_, number) => ({ hostId: `host-${number}`, peerId: `peer-${number}` }));
    let offers = 0;
    const due: number[] = [];
    const told: string[] = [];
    const obey = (decisions: readonly Decision[]): void => {
      for (const decision of decisions) {
        if (decision.kind === 'tickAt') due.push(decision.atMs);
        if (decision.kind !== 'offerParents') continue;
        offers++;
        told.push(decision.peerId);
      }
    };
    const passUntil = (untilMs: number): void => {
      for (let atMs = due.shift(); atMs !== undefined; atMs = due.shift()) {
        if (atMs > untilMs) return void due.unshift(atMs);
        obey(swarm.tick(atMs));
      }
    };
    const announce = (id: string): void => {
      swarm.hostRecognised(id);
      swarm.hostAnnounced(
        {
          ...{ id, kind: 'normal', ip: id, port: 4000, idc: undefined, location: undefined, disableShared: false },
          announceIntervalMs: undefined,
        },
        0,
      );
    };
    const register = (ids: { hostId: string; peerId: string }, nowMs: number): void =>
      obey(
        swarm.peerRegistered(
          {
            ...{ ...ids, taskId: 'task', priority: 0, range: undefined, needBackToSource: false, metadataOnly: false },
            ...{ contentLength: 400, pieceLength: 4, pieceCount: 100 },
          },
          nowMs,
        ),
      );

    for (const { hostId } of ids) announce(hostId);
    announce('source');
    const before = heapSize();
    register({ hostId: 'source', peerId: 'source' }, 0);
    swarm.backToSourceStarted('source', 0);
    ids.forEach((id, index) => {
      const nowMs = (index * CROWD_MS) / PEERS;
      passUntil(nowMs);
      register(id, nowMs);
    });
    for (let nowMs = CROWD_MS; nowMs <= 2000; nowMs += 10) {
      passUntil(nowMs);
      if (nowMs % 250 === 0) obey(swarm.tick(nowMs));
      for (const peerId of told.splice(0)) obey(swarm.peerStarted(peerId, nowMs));
    }
    const bytesPerPeer = (heapSize() - before) / PEERS;

    const crowd = [...(swarm.task('task')?.peers ?? [])].filter(({ id }) => id !== 'source');
    expect(crowd).toHaveLength(PEERS);
    const isOff = ({ parents, children }: PeerView): boolean =>
      parents.size < 14 || parents.size > 16 || children.size > 20;
    // Ids, not peers: nobody can print all that hangs on one of them.
    expect(
      crowd
        .filter(isOff)
        .slice(0, 10)
        .map(({ id }) => id),
    ).toEqual([]);
    expect(swarm.peer('source')?.children.size).toBe(100);
    expect(offers / PEERS).toBeLessThanOrEqual(MAX_OFFERS_PER_PEER);
    expect(bytesPerPeer).toBeLessThanOrEqual(MAX_BYTES_PER_PEER);
  }, 120_000);
});
