import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ByteRange } from '@d7y/piece';
import { seededRandom } from './_seeded-random.ts';
import type { PeerView } from './peer.ts';
import { Swarm } from './swarm.ts';

const PIECES = 40;
const PIECE_LENGTH = 10;
const CONTENT_LENGTH = PIECES * PIECE_LENGTH;

const range = fc
  .tuple(fc.nat(CONTENT_LENGTH - 1), fc.integer({ min: 1, max: CONTENT_LENGTH }))
  .map(([start, length]) => ({ start, length: Math.min(length, CONTENT_LENGTH - start) }));
const wishes = fc.array(fc.option(range, { nil: undefined }), { minLength: 2, maxLength: 60 });

/** A seed that fetches a task of which everybody wants a part of his own. */
function swarmOf(ranges: readonly (ByteRange | undefined)[], seed: number): Swarm {
  const swarm = new Swarm({ settleMs: 0 }, seededRandom(seed), 0);
  const register = (id: string, wanted: ByteRange | undefined): void => {
    swarm.linkOpened(id, 0);
    const place = { idc: undefined, location: undefined, disableShared: false, announceIntervalMs: undefined };
    swarm.hostAnnounced({ id, kind: id === 'seed' ? 'seed' : 'normal', ip: id, port: 4000, ...place }, 0);
    const ids = { hostId: id, taskId: 'task', peerId: id, priority: 0 as const, range: wanted };
    const size = { contentLength: CONTENT_LENGTH, pieceLength: PIECE_LENGTH, pieceCount: PIECES };
    swarm.peerRegistered({ ...ids, ...size, needBackToSource: id === 'seed', metadataOnly: false }, 0);
  };
  register('seed', undefined);
  swarm.backToSourceStarted('seed', 0);
  ranges.forEach((wanted, number) => register(`peer-${number}`, wanted));
  for (let nowMs = 0; nowMs <= 2000; nowMs += 50) {
    swarm.tick(nowMs);
    ranges.forEach((_, number) => swarm.peerStarted(`peer-${number}`, nowMs));
  }
  return swarm;
}

const piecesOf = ({ range: wanted }: PeerView): readonly [number, number] =>
  wanted === undefined
    ? [0, PIECES]
    : [Math.floor(wanted.start / PIECE_LENGTH), Math.ceil((wanted.start + wanted.length) / PIECE_LENGTH)];

/** Peers that a piece reaches from the seed, passed on by those who want it. */
function reachedBy(piece: number, seed: PeerView): ReadonlySet<PeerView> {
  const reached = new Set([seed]);
  for (const peer of reached)
    for (const child of peer.children) {
      const [from, to] = piecesOf(child);
      if (from <= piece && piece < to) reached.add(child);
    }
  return reached;
}

describe('peers that want ranges', () => {
  it('are neighbours of those who want some of the same, and every piece reaches all who want it', () => {
    fc.assert(
      fc.property(wishes, fc.nat(), (ranges, seed) => {
        const swarm = swarmOf(ranges, seed);
        const peers = [...(swarm.task('task')?.peers ?? [])];
        for (const peer of peers) {
          const [from, to] = piecesOf(peer);
          for (const parent of peer.parents) {
            const [parentFrom, parentTo] = piecesOf(parent);
            expect(Math.max(from, parentFrom)).toBeLessThan(Math.min(to, parentTo));
          }
        }
        const source = swarm.peer('seed');
        if (source === undefined) throw new Error('no seed');
        for (let piece = 0; piece < PIECES; piece++) {
          const reached = reachedBy(piece, source);
          for (const peer of peers) {
            const [from, to] = piecesOf(peer);
            if (from <= piece && piece < to) expect(reached.has(peer)).toBe(true);
          }
        }
        expect(swarm.task('task')?.countedLeases).toBe(1);
      }),
      process.env['D7Y_TEST_FULL'] === '1' ? { numRuns: 1000 } : { numRuns: 60, seed: 1 },
    );
  });

  it('have others than the source for parents, though it has a piece for everybody', () => {
    const ranges = Array.from({ length: 200 }, (_, number) => ({ start: (number % 8) * 30, length: 100 }));
    const swarm = swarmOf(ranges, 1);
    const peers = [...(swarm.task('task')?.peers ?? [])].filter(({ id }) => id !== 'seed');
    expect(Math.min(...peers.map(({ parents }) => parents.size))).toBeGreaterThanOrEqual(7);
    expect(swarm.peer('seed')?.children.size).toBeLessThanOrEqual(peers.length / 2);
  });
});
