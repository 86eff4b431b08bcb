import { packetIdOf, syncPiecesStream } from '@d7y/peer-protocol';
import { describe, expect, it, jest } from '@jest/globals';
import { FakeTask, TASK_ID } from '../_fakes.ts';
import { SteeredTasks, type SteeredTasksOptions } from './steered-tasks.ts';

const PIECES = [0, 1, 2, 3, 4, 5, 6, 7];

/** A daemon with a task of eight pieces, and children that follow it as other daemons do. */
function setUp({ clock = () => 0, ...options }: Partial<SteeredTasksOptions> & { clock?: () => number } = {}) {
  const task = new FakeTask(8_000);
  const steered = new SteeredTasks(task.store, clock, options);
  const tasks = steered.over(task);
  const follow = (name: string, interestedPieceNumbers = PIECES) => {
    const hostId = `10.0.0.5-${name}`;
    const stop = new AbortController();
    const told: number[] = [];
    const request = { taskId: TASK_ID, hostId, interestedPieceNumbers };
    const ended = (async () => {
      for await (const { number } of syncPiecesStream(tasks, request, { ip: '10.0.0.2', tcpPort: 4005 }, stop)) {
        told.push(number ?? -1);
      }
    })();
    const from = { ip: '10.0.0.5', packetId: packetIdOf(hostId) };
    const send = (number: number) => steered.asked(TASK_ID, number, from)(true);
    const begin = (number: number) => steered.asked(TASK_ID, number, from);
    return { told, ended, begin, send, stop: () => stop.abort() };
  };
  const settled = () => new Promise(setImmediate);
  return { task, steered, follow, settled };
}

describe('SteeredTasks', () => {
  it('tells two children of different pieces while nobody else has them', async () => {
    const { task, follow, settled } = setUp();
    await task.create();
    const [a, b] = [follow('a'), follow('b')];
    await settled();
    await task.finish(0, 1, 2, 3, 4, 5);
    await settled();
    expect(new Set([...a.told, ...b.told]).size).toBe(a.told.length + b.told.length);
    expect([a.told.length, b.told.length]).toEqual([2, 2]);
    a.stop();
    b.stop();
  });

  it('tells both of everything, and ends, when each piece was sent to one of them', async () => {
    const { task, follow, settled } = setUp();
    await task.create();
    const [a, b] = [follow('a'), follow('b')];
    await settled();
    await task.finishAll();
    for (let round = 0; round < PIECES.length; round++) {
      await settled();
      for (const child of [a, b]) for (const number of child.told) child.send(number);
    }
    await Promise.all([a.ended, b.ended]);
    expect([a.told.toSorted(), b.told.toSorted()]).toEqual([PIECES, PIECES]);
  });

  it('takes nothing back from children of ours while every slot is taken, and pieces leave', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick'] });
    try {
      let nowMs = 0;
      const pass = (ms: number): void => {
        nowMs += ms;
        jest.advanceTimersByTime(ms);
      };
      const { task, follow, settled } = setUp({ uploadSlots: 1, clock: () => nowMs, isOwn: () => true });
      await task.create();
      const [a, b] = [follow('a'), follow('b')];
      await settled();
      await task.finish(0, 1, 2, 3);
      await settled();
      const [first = -1, second = -1] = a.told;
      a.send(first);
      const end = a.begin(second);
      pass(4_750);
      await settled();
      expect(a.told.filter((number) => b.told.includes(number))).toEqual([]);
      // The one that takes the slot does not get on: others may be served.
      pass(1_000);
      await settled();
      expect(a.told.length).toBeGreaterThan(2);
      end(false);
      a.stop();
      b.stop();
    } finally {
      jest.useRealTimers();
    }
  });

  it('tells a single child everything at once, and ends', async () => {
    const { task, follow } = setUp();
    await task.finishAll();
    const child = follow('a');
    await child.ended;
    expect(child.told).toEqual(PIECES);
  });

  it('tells every child of pieces that came from other peers', async () => {
    const { task, follow, settled } = setUp();
    await task.receive(2, 5);
    const [a, b] = [follow('a'), follow('b')];
    await settled();
    expect([a.told, b.told]).toEqual([
      [2, 5],
      [2, 5],
    ]);
    a.stop();
    b.stop();
  });

  it('has an origin wait while children have enough to get, and no longer', async () => {
    const { task, steered, follow, settled } = setUp({ lookAhead: 2 });
    await task.create();
    const signal = new AbortController().signal;
    await task.finish(0, 1, 2);
    expect(steered.pace(TASK_ID, { signal })).toBeUndefined();
    const [a, b] = [follow('a'), follow('b')];
    await settled();
    const wait = steered.pace(TASK_ID, { signal });
    let isOver = false;
    void wait?.then(() => (isOver = true));
    await settled();
    expect([wait === undefined, isOver]).toEqual([false, false]);
    for (const child of [a, b]) for (const number of child.told) child.send(number);
    await wait;
    expect(steered.pace(TASK_ID, { signal })).toBeUndefined();
    a.stop();
    b.stop();
  });

  it('has no origin wait for pieces to leave that no child wants', async () => {
    const { task, steered, follow, settled } = setUp({ lookAhead: 2 });
    await task.create();
    const children = [follow('a', [5, 6, 7]), follow('b', [4, 5])];
    await settled();
    await task.finish(0, 1, 2, 3);
    await settled();
    const pace = () => steered.pace(TASK_ID, { signal: AbortSignal.abort() });
    expect(pace()).toBeUndefined();
    await task.finish(6, 7);
    await settled();
    expect(pace()).toBeInstanceOf(Promise);
    for (const child of children) child.stop();
  });

  it('has no origin wait for long when no piece leaves, or for children that are gone', async () => {
    let nowMs = 0;
    const { task, steered, follow, settled } = setUp({ lookAhead: 1, clock: () => (nowMs += 1_000) });
    await task.create();
    await task.finish(0, 1);
    const child = follow('a');
    await settled();
    await steered.pace(TASK_ID, { signal: new AbortController().signal });
    child.stop();
    await settled();
    expect(steered.pace(TASK_ID, { signal: new AbortController().signal })).toBeUndefined();
  });

  it('gives the pieces of a child that hung up to the others', async () => {
    const { task, follow, settled } = setUp();
    await task.finishAll();
    const first = follow('first');
    const [a, b] = [follow('a'), follow('b')];
    await settled();
    first.stop();
    a.stop();
    await b.ended;
    expect(b.told.toSorted()).toEqual(PIECES);
  });
});
