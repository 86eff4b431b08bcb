import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import { createLayout, PieceSet } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import { PieceChoice } from './piece-choice.ts';
import type { ParentState } from './task-parents.ts';

const MIB = 2 ** 20;
const PIECES = 40;
const ALL = PieceSet.upTo(PIECES);
const nobodyWaits = { urgent: () => [] };

function choiceOf({ finished = 0 } = {}): PieceChoice {
  const progress = { layout: createLayout(PIECES * MIB, MIB), stored: { finishedPieces: PieceSet.upTo(finished) } };
  return new PieceChoice({ progress, standings: { weight: () => 1 }, random: () => 0 });
}

function parentOf(peerId: string, more: Partial<ParentState> & { isFallback?: boolean } = {}): ParentState {
  const { isFallback = false, ...state } = more;
  return {
    parent: {
      ...{ peerId, hostId: peerId, ip: '127.0.0.1', port: 1, isSeed: false, isPrivate: false, isFallback },
      ...{ idc: undefined, location: undefined, contentLength: undefined, pieceLength: undefined },
      offer: create(common.PeerSchema),
    },
    ...{
      asked: PIECES,
      address: { ip: '127.0.0.1', tcpPort: 2, keepsAlive: true },
      isPresumed: false,
      turn: 'none' as const,
    },
    ...{ refusals: 0, lates: 0, withoutTurn: 0, isStalling: false, hasAnswered: true, askedAtMs: 0, isSyncing: true },
    ...{ stop: new AbortController(), use: undefined },
    ...state,
  };
}

/** Joins with these pieces. */
function join(choice: PieceChoice, state: ParentState, pieces: Iterable<number>): ParentState {
  choice.joined(state);
  for (const piece of pieces) choice.learned(state, piece);
  return state;
}

/** Asks for pieces until there is nobody to ask. @returns how many were asked of each parent */
function askAll(choice: PieceChoice): Record<string, number> {
  const asked: Record<string, number> = {};
  const wanted = PieceSet.upTo(PIECES);
  for (let chosen = choice.pick({ wanted, ...nobodyWaits }); chosen; chosen = choice.pick({ wanted, ...nobodyWaits })) {
    const { peerId } = chosen.state.parent;
    asked[peerId] = (asked[peerId] ?? 0) + 1;
    wanted.delete(chosen.pieceNumber);
    choice.begun(chosen.state);
  }
  return asked;
}

describe('PieceChoice', () => {
  it('asks four pieces at once of a parent that has everything, and one of each that is fetching itself', () => {
    const choice = choiceOf();
    join(choice, parentOf('whole'), ALL);
    for (const peerId of ['one', 'other']) join(choice, parentOf(peerId), [0, 1, 2, 3, 4, 5, 6, 7]);
    expect(askAll(choice)).toEqual({ whole: 4, one: 1, other: 1 });
  });

  it('asks two of the only parent, though it is fetching itself', () => {
    const choice = choiceOf();
    join(choice, parentOf('only'), [0, 1, 2, 3, 4, 5, 6, 7]);
    expect(askAll(choice)).toEqual({ only: 2 });
  });

  it('says how much is asked of a parent at this moment', () => {
    const choice = choiceOf();
    const parent = join(choice, parentOf('parent'), [0, 1]);
    choice.begun(parent);
    choice.begun(parent);
    choice.ended(parent);
    expect(choice.inFlightOf(parent)).toBe(1);
    choice.left(parent);
    expect(choice.inFlightOf(parent)).toBe(0);
  });

  it('asks twice as many of a parent where others are late with them', () => {
    const choice = choiceOf();
    const part = join(choice, parentOf('part'), [0]);
    join(choice, parentOf('late'), [0]);
    const asked = new Set(['late']);
    choice.begun(part);
    expect(choice.pickOther(0, asked)).toBe(part);
    choice.begun(part);
    expect(choice.pickOther(0, asked)).toBeUndefined();
    expect(choice.hasOtherHolder(0, asked)).toBe(true);
    expect(choice.hasOtherHolder(0, new Set(['late', 'part']))).toBe(false);
  });

  it('asks those who are there for what neighbours lack only for that', () => {
    const choice = choiceOf();
    const fallback = join(choice, parentOf('fallback', { isFallback: true }), ALL);
    const neighbour = join(choice, parentOf('neighbour'), [7]);
    expect(choice.pick({ wanted: ALL, ...nobodyWaits })).toEqual({ pieceNumber: 7, state: neighbour });
    expect(choice.pick({ wanted: new PieceSet([8]), ...nobodyWaits })).toEqual({ pieceNumber: 8, state: fallback });
  });

  it('takes one piece at a time of a parent that stalls, of what nobody else has', () => {
    const choice = choiceOf();
    const stalling = join(choice, parentOf('stalling', { isStalling: true }), [3, 4, 5]);
    const busy = join(choice, parentOf('busy'), [3]);
    choice.begun(busy);
    expect(choice.pick({ wanted: new PieceSet([3]), ...nobodyWaits })).toBeUndefined();
    expect(choice.pick({ wanted: ALL, ...nobodyWaits })).toEqual({ pieceNumber: 4, state: stalling });
    choice.begun(stalling);
    expect(choice.pick({ wanted: ALL, ...nobodyWaits })).toBeUndefined();
    stalling.isStalling = false;
    choice.ended(stalling);
    expect(choice.pick({ wanted: new PieceSet([3]), ...nobodyWaits })?.state).toBe(stalling);
  });

  it('knows nothing of a parent that has left, and says nothing of it about the next one', () => {
    const choice = choiceOf();
    const gone = join(choice, parentOf('gone'), ALL);
    choice.begun(gone);
    choice.left(gone);
    const next = join(choice, parentOf('next'), [1]);
    choice.begun(next);
    choice.begun(next);
    choice.ended(gone);
    choice.lacks(gone, 1);
    expect(choice.learned(gone, 5)).toBe(false);
    expect(choice.hasAnyOf(gone, ALL)).toBe(false);
    // Both places of the only parent are taken, though that of the other one is free by now.
    expect(choice.pick({ wanted: ALL, ...nobodyWaits })).toBeUndefined();
    choice.ended(next);
    expect(choice.pick({ wanted: ALL, ...nobodyWaits })).toEqual({ pieceNumber: 1, state: next });
  });

  it('asks for what few in the swarm have where its parents have no difference', () => {
    const choice = choiceOf({ finished: 5 });
    join(choice, parentOf('one'), [5, 6, 7, 8]);
    join(choice, parentOf('two'), [5, 6, 7]);
    const hot = new PieceSet([6, 20]);
    expect(choice.pick({ wanted: new PieceSet([5, 6, 7]), ...nobodyWaits, hot })?.pieceNumber).toBe(6);
    expect(choice.pick({ wanted: ALL, ...nobodyWaits, hot })?.pieceNumber).toBe(8);
    expect(choice.pick({ wanted: new PieceSet([5, 6]), urgent: () => [5], hot })).toMatchObject({ pieceNumber: 5 });
  });
});
