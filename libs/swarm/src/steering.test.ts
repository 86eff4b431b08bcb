import { PieceSet } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import { seededRandom } from './_seeded-random.ts';
import type { Reveal } from './steering.ts';
import { Steering } from './steering.ts';

/** A holder, and all that its children were told so far. */
function setUp(pieceCount: number, children: readonly string[], held = pieceCount) {
  const steering = new Steering<string>({ pieceCount, ahead: 2, patienceMs: 1_000 });
  const told = new Map<string, number[]>();
  const take = (reveals: readonly Reveal<string>[]): void => {
    for (const { child, pieces } of reveals) told.set(child, [...(told.get(child) ?? []), ...pieces]);
  };
  for (const child of children) take(steering.childJoined(child, 0));
  for (let piece = 0; piece < held; piece++) take(steering.pieceHeld(piece, 0));
  const toldTo = (child: string) => (told.get(child) ?? []).toSorted((a, b) => a - b);
  const send = (child: string, piece: number, nowMs = 0) => {
    steering.pieceAsked(child, piece, nowMs);
    take(steering.pieceSent(child, piece, nowMs));
  };
  return { steering, take, toldTo, send };
}

const ALL_OF_SIX = [0, 1, 2, 3, 4, 5];

describe('Steering', () => {
  it('tells each piece to one child, in turn, and no more than it can fetch next', () => {
    const { toldTo } = setUp(6, ['a', 'b']);
    expect([toldTo('a'), toldTo('b')]).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  it('takes nothing back while the holder is busy, nor before its own time is up', () => {
    const { steering, take, toldTo, send } = setUp(4, ['a', 'b']);
    for (const piece of [0, 2]) send('a', piece);
    const isPatient = (): boolean => true;
    take(steering.tick(60_000, { isIdle: false, isBusy: true, isPatient }));
    take(steering.tick(60_000, { isIdle: false, patienceMs: 70_000, isPatient }));
    expect([toldTo('a'), toldTo('b')]).toEqual([
      [0, 2],
      [1, 3],
    ]);
    take(steering.tick(70_000, { isIdle: false, patienceMs: 70_000, isPatient }));
    expect(toldTo('a')).toEqual([0, 1, 2, 3]);
  });

  it('breaks the silence only for children that would take it for death, however busy it is', () => {
    const { steering, take, toldTo, send } = setUp(2, ['a', 'b', 'c']);
    expect([toldTo('a'), toldTo('b'), toldTo('c')]).toEqual([[0], [1], []]);
    send('a', 0);
    steering.pieceAsked('b', 1, 2_999);
    const isPatient = (child: string): boolean => child !== 'c';
    take(steering.tick(2_999, { isIdle: false, isBusy: true, isPatient }));
    expect(toldTo('c')).toEqual([]);
    take(steering.tick(3_000, { isIdle: false, isBusy: true, isPatient }));
    expect([toldTo('a'), toldTo('b'), toldTo('c')]).toEqual([[0], [1], [0]]);
  });

  it('counts what it has told a child alone, until that is sent', () => {
    const { steering, send } = setUp(6, ['a', 'b']);
    expect(steering.owedCount).toBe(4);
    send('a', 0);
    expect(steering.owedCount).toBe(4);
    for (const [child, piece] of [
      ['b', 1],
      ['a', 2],
      ['b', 3],
      ['a', 4],
      ['b', 5],
    ] as const)
      send(child, piece);
    expect(steering.owedCount).toBe(0);
  });

  it('tells a child of the next piece when it has got one', () => {
    const { toldTo, send } = setUp(6, ['a', 'b']);
    send('b', 1);
    expect([toldTo('a'), toldTo('b')]).toEqual([
      [0, 2],
      [1, 3, 4],
    ]);
  });

  it('tells everything to everybody once each piece was sent', () => {
    const { steering, toldTo, send } = setUp(4, ['a', 'b']);
    send('a', 0);
    send('a', 2);
    send('b', 1);
    expect(toldTo('a')).toEqual([0, 2]);
    expect(steering.isDone).toBe(false);
    send('b', 3);
    expect(steering.isDone).toBe(true);
    expect([toldTo('a'), toldTo('b')]).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
    ]);
  });

  it('tells a single child everything as it comes', () => {
    const { take, steering, toldTo } = setUp(6, ['a'], 4);
    expect(toldTo('a')).toEqual([0, 1, 2, 3]);
    take(steering.pieceHeld(5, 0));
    expect(toldTo('a')).toEqual([0, 1, 2, 3, 5]);
  });

  it('tells a child everything when it is left alone', () => {
    const { take, steering, toldTo } = setUp(6, ['a', 'b']);
    take(steering.childLeft('b', 0));
    expect(toldTo('a')).toEqual(ALL_OF_SIX);
  });

  it('gives a child that joins a single one what that one has not asked for', () => {
    const { take, steering, toldTo } = setUp(6, ['a']);
    steering.pieceAsked('a', 0, 0);
    steering.pieceAsked('a', 1, 0);
    take(steering.childJoined('b', 0));
    expect(toldTo('b')).toEqual([2, 3]);
  });

  it('deals what a child had not got when it left', () => {
    const { take, steering, toldTo } = setUp(4, ['a', 'b', 'c']);
    expect([toldTo('a'), toldTo('b'), toldTo('c')]).toEqual([[0, 3], [1], [2]]);
    steering.pieceAsked('a', 3, 0);
    take(steering.childLeft('a', 0));
    expect([...toldTo('b'), ...toldTo('c')].toSorted()).toEqual([0, 1, 2, 3]);
  });

  it('deals again what was asked for and not sent', () => {
    const { take, steering, toldTo, send } = setUp(6, ['a', 'b']);
    steering.pieceAsked('a', 0, 0);
    take(steering.pieceNotSent('a', 0, 0));
    send('b', 1);
    expect(toldTo('b')).toEqual([0, 1, 3]);
  });

  it('takes pieces from a child that asks for none of them, and trusts it with one at a time until it does', () => {
    const { take, steering, toldTo, send } = setUp(8, ['a', 'b']);
    send('b', 1, 900);
    send('b', 3, 900);
    expect(toldTo('b')).toEqual([1, 3, 4, 5]);
    take(steering.tick(999));
    expect(toldTo('a')).toEqual([0, 2]);
    take(steering.tick(1_000));
    // Another piece, not the two that it let lie.
    expect(toldTo('a')).toEqual([0, 2, 6]);
    send('b', 4, 1_001);
    send('b', 5, 1_001);
    expect(toldTo('b')).toEqual([0, 1, 2, 3, 4, 5]);
    send('a', 6, 1_002);
    expect(toldTo('a')).toEqual([0, 2, 6, 7]);
  });

  it('does not take back what was asked for, however long the queue before it', () => {
    const { take, steering, toldTo } = setUp(4, ['a', 'b']);
    steering.pieceAsked('a', 0, 0);
    steering.pieceAsked('a', 2, 0);
    take(steering.tick(2_900));
    expect(toldTo('b')).toEqual([1, 3]);
  });

  it('tells a child that can be told nothing else what was sent already', () => {
    const { take, steering, toldTo, send } = setUp(6, ['a', 'b'], 2);
    send('a', 0);
    send('b', 1);
    take(steering.tick(500));
    expect(toldTo('a')).toEqual([0]);
    take(steering.tick(1_000));
    expect(toldTo('a')).toEqual([0, 1]);
  });

  it('tells one child at a time what was sent already, and only while nothing is being sent', () => {
    const { take, steering, toldTo, send } = setUp(6, ['a', 'b', 'c'], 3);
    send('a', 0);
    send('b', 1);
    send('c', 2);
    take(steering.tick(1_000, { isIdle: false }));
    expect([toldTo('a'), toldTo('b'), toldTo('c')]).toEqual([[0], [1], [2]]);
    take(steering.tick(1_001));
    expect([toldTo('a'), toldTo('b'), toldTo('c')]).toEqual([[0, 1, 2], [1], [2]]);
    take(steering.tick(1_002));
    expect(toldTo('b')).toEqual([0, 1, 2]);
  });

  it('tells nobody what was sent already while a piece is owed to somebody: one moment of rest is not all that is to come', () => {
    const { take, steering, toldTo, send } = setUp(6, ['a', 'b'], 2);
    send('a', 0);
    steering.pieceAsked('b', 1, 0);
    take(steering.tick(1_000));
    expect(toldTo('a')).toEqual([0]);
    take(steering.pieceSent('b', 1, 1_001));
    take(steering.tick(1_002));
    expect(toldTo('a')).toEqual([0, 1]);
  });

  it('tells a child what was sent already though pieces are here that nobody else has and nobody wants', () => {
    const { take, steering, toldTo, send } = setUp(6, [], 0);
    for (const child of ['a', 'b']) take(steering.childJoined(child, 0, new PieceSet([0, 1])));
    for (const piece of ALL_OF_SIX) take(steering.pieceHeld(piece, 0));
    send('a', 0);
    send('b', 1);
    take(steering.tick(1_000));
    expect(toldTo('a')).toEqual([0, 1]);
  });

  it('tells a child one piece more when it was told nothing for long, though it waits for others', () => {
    const { take, steering, toldTo } = setUp(6, ['a', 'b']);
    for (const piece of [0, 2]) steering.pieceAsked('a', piece, 0);
    take(steering.tick(2_999));
    expect(toldTo('a')).toEqual([0, 2]);
    take(steering.tick(3_000));
    expect(toldTo('a')).toEqual([0, 1, 2]);
    take(steering.tick(3_001));
    expect(toldTo('a')).toEqual([0, 1, 2]);
  });

  it('takes a piece that two children let lie for had by them', () => {
    const { take, steering } = setUp(1, ['a', 'b', 'c']);
    take(steering.tick(1_000));
    expect(steering.isDone).toBe(false);
    take(steering.tick(2_000));
    expect(steering.isDone).toBe(true);
  });

  it('tells nobody of pieces that it does not want', () => {
    const { take, steering, toldTo } = setUp(6, ['a'], 6);
    take(steering.childJoined('b', 0, new PieceSet([4, 5])));
    expect(toldTo('b')).toEqual([4, 5]);
  });

  it('tells everybody of pieces that came from others', () => {
    const { take, steering, toldTo } = setUp(6, ['a', 'b'], 0);
    take(steering.pieceHeld(3, 0, { isElsewhere: true }));
    take(steering.childJoined('c', 0));
    expect([toldTo('a'), toldTo('b'), toldTo('c')]).toEqual([[3], [3], [3]]);
  });

  it('serves as new a piece that was lost and came again', () => {
    const { take, steering, toldTo, send } = setUp(2, ['a', 'b']);
    send('a', 0);
    steering.pieceLost(0);
    expect(steering.spreadCount).toBe(0);
    take(steering.pieceHeld(0, 0));
    send('b', 1);
    expect([...toldTo('a'), ...toldTo('b')].filter((piece) => piece === 0)).toHaveLength(2);
    expect(steering.isDone).toBe(false);
  });

  it('sends every piece once before any twice, whatever its children do, and leaves none without a piece for long', () => {
    const random = seededRandom(7);
    const pieceCount = 200;
    const steering = new Steering<number>({ pieceCount });
    const known = new Map<number, Set<number>>();
    let nowMs = 0;
    const take = (reveals: readonly Reveal<number>[]): void => {
      for (const { child, pieces } of reveals) for (const piece of pieces) known.get(child)?.add(piece);
    };
    const join = (child: number): void => {
      known.set(child, new Set());
      take(steering.childJoined(child, nowMs));
    };
    for (let child = 0; child < 20; child++) join(child);
    for (let piece = 0; piece < pieceCount; piece++) take(steering.pieceHeld(piece, nowMs));
    const sent = new Uint8Array(pieceCount);
    let uploads = 0;
    for (let next = 20; !steering.isDone; nowMs += 10) {
      const children = [...known.keys()];
      const child = children[Math.floor(random() * children.length)] ?? 0;
      if (random() < 0.02) {
        known.delete(child);
        take(steering.childLeft(child, nowMs));
        join(next++);
        continue;
      }
      const [piece] = [...(known.get(child) ?? [])].filter((each) => sent[each] === 0);
      take(steering.tick(nowMs));
      if (piece === undefined) continue;
      sent[piece] = 1;
      uploads++;
      steering.pieceAsked(child, piece, nowMs);
      take(steering.pieceSent(child, piece, nowMs));
      expect(uploads).toBeLessThanOrEqual(pieceCount);
    }
    expect(sent.every((times) => times === 1)).toBe(true);
    expect([...known.values()].every((pieces) => pieces.size === pieceCount)).toBe(true);
  });
});
