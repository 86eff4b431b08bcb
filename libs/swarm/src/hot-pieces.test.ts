import { describe, expect, it } from '@jest/globals';
import { PieceSet } from '@d7y/piece';
import fc from 'fast-check';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import { HolderCounts } from './holder-counts.ts';
import { Swarm } from './swarm.ts';

const PIECES = 40;
const OTHERS = { deliveries: [] };

/** A swarm of so many peers of ours that fetch, besides one at the origin. */
function swarmOf({ peers = 40, pieces = PIECES }) {
  const swarm = new Swarm({ settleMs: 0 }, seededRandom(1), 0);
  const register = (id: string, isOwn: boolean): void => {
    const facts = { id, kind: 'normal', ip: id, port: 1, idc: undefined, location: undefined } as const;
    if (isOwn) swarm.linkOpened(id, 0);
    swarm.hostAnnounced({ ...facts, disableShared: false, announceIntervalMs: undefined }, 0);
    if (isOwn) swarm.linkOpened(id, 0);
    swarm.peerRegistered(
      {
        ...{ hostId: id, peerId: id, taskId: 'task', priority: 0, range: undefined, needBackToSource: false },
        ...{ metadataOnly: false, contentLength: pieces * 4, pieceLength: 4, pieceCount: pieces },
      },
      0,
    );
  };
  register('source', true);
  swarm.backToSourceStarted('source', 0);
  for (let number = 0; number < peers; number++) register(`p${number}`, true);
  register('stock', false);
  for (let nowMs = 0; nowMs <= 2000; nowMs += 100) swarm.tick(nowMs);
  for (const peer of ['stock', ...Array.from({ length: peers }, (_, number) => `p${number}`)])
    swarm.peerStarted(peer, 2000);
  return swarm;
}

const told = (decisions: readonly Decision[]) =>
  decisions.flatMap((decision) => (decision.kind === 'tellHotPieces' ? [decision] : []));

describe('word of rare pieces', () => {
  it('goes once to every peer of ours that fetches, naming the pieces that fewest have', () => {
    const swarm = swarmOf({});
    for (let peer = 0; peer < 20; peer++)
      swarm.piecesFinished(`p${peer}`, { pieces: [...PieceSet.upTo(30)], ...OTHERS }, 2100);

    const decisions = told(swarm.tick(2200));

    expect(new Set(decisions.map(({ peerId }) => peerId))).toEqual(
      new Set(Array.from({ length: 40 }, (_, number) => `p${number}`)),
    );
    expect([...(decisions[0]?.pieces ?? [])]).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39]);
    expect(told(swarm.tick(2300))).toEqual([]);
  });

  it('comes again after a second, where it has changed', () => {
    const swarm = swarmOf({});
    swarm.piecesFinished('p1', { pieces: [...PieceSet.upTo(30)], ...OTHERS }, 2100);
    expect(told(swarm.tick(2200))).toHaveLength(40);
    swarm.piecesFinished('p2', { pieces: [31, 32, 33, 34, 35, 36, 37, 38, 39, 30], ...OTHERS }, 2300);
    swarm.piecesFinished('p3', { pieces: [31], ...OTHERS }, 2300);

    expect(told(swarm.tick(3100))).toEqual([]);
    const [first] = told(swarm.tick(3200));
    expect(first?.pieces.has(0)).toBe(true);
    expect(first?.pieces.has(31)).toBe(false);
    swarm.piecesFinished('p4', { pieces: [31], ...OTHERS }, 3300);
    expect(told(swarm.tick(4200))).toEqual([]);
  });

  it('tells a hundred peers at a time, whatever their number', () => {
    const swarm = swarmOf({ peers: 250 });
    swarm.piecesFinished('p1', { pieces: [...PieceSet.upTo(30)], ...OTHERS }, 2100);
    expect([2200, 2300, 2400, 2500].map((nowMs) => told(swarm.tick(nowMs)).length)).toEqual([100, 100, 50, 0]);
  });

  it.each([
    ['few peers', { peers: 20 }],
    ['few pieces', { pieces: 20 }],
  ])('is not said of tasks with %s', (_, size) => {
    const swarm = swarmOf(size);
    swarm.piecesFinished('p1', { pieces: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ...OTHERS }, 2100);
    expect(told(swarm.tick(2200))).toEqual([]);
  });

  it('forgets what a peer held when it has left', () => {
    const swarm = swarmOf({});
    swarm.piecesFinished('p1', { pieces: [...PieceSet.upTo(30)], ...OTHERS }, 2100);
    swarm.tick(2200);
    swarm.piecesFinished('p2', { pieces: [...PieceSet.upTo(PIECES)].slice(10), ...OTHERS }, 2300);
    swarm.deletePeer('p1', 2300);
    swarm.piecesFinished('p3', { pieces: [39], ...OTHERS }, 2300);
    const [first] = told(swarm.tick(3300));
    expect([...(first?.pieces ?? [])]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('HolderCounts', () => {
  it('agrees with counting anew, and takes no notice of what is no piece', () => {
    const pieces = fc.uniqueArray(fc.nat(PIECES + 5), { maxLength: 30 });
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), fc.array(pieces, { maxLength: 8 }), (staying, leaving) => {
        const counts = new HolderCounts(
          PIECES,
          leaving.map((held) => new PieceSet(held)),
        );
        for (const held of staying) for (const pieceNumber of held) counts.add(pieceNumber);
        for (const held of leaving) counts.remove(new PieceSet(held));
        for (let pieceNumber = 0; pieceNumber < PIECES; pieceNumber++)
          expect(counts.holdersOf(pieceNumber)).toBe(staying.filter((held) => held.includes(pieceNumber)).length);
        expect(counts.holdersOf(PIECES)).toBe(0);
      }),
    );
  });

  it('finds nothing rare where all pieces are equally so', () => {
    expect(new HolderCounts(PIECES, [PieceSet.upTo(PIECES)]).rarest().size).toBe(0);
    expect(new HolderCounts(PIECES, []).rarest().size).toBe(0);
  });
});
