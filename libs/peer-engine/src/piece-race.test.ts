import { describe, expect, it } from '@jest/globals';
import type { Runner } from './piece-race.ts';
import { PieceRace } from './piece-race.ts';
import { TransferMeter } from './transfer-meter.ts';

const LENGTH = 100;

/** A race whose store remembers who wrote what; each write takes until `land` is called. */
function raceWithStore() {
  const content = Buffer.alloc(LENGTH);
  const landing: (() => void)[] = [];
  const race = new PieceRace(
    7,
    { start: 0, length: LENGTH },
    {
      write: async (position, bytes) => {
        const copies = bytes.map((one) => Buffer.from(one));
        await new Promise<void>((resolve) => landing.push(resolve));
        for (const copy of copies) content.set(copy, position);
      },
    },
  );
  const land = async (): Promise<void> => {
    await new Promise(setImmediate);
    for (const done of landing.splice(0)) done();
    await new Promise(setImmediate);
  };
  return { race, content, land };
}

/** A transfer at a virtual rate; `end` is what makes it settle. */
function runner(clock: () => number, expectedBytesPerSec = 1_000): Runner & { end: () => void } {
  const { promise: settled, resolve: end } = Promise.withResolvers<void>();
  return { meter: new TransferMeter(clock, []), stop: new AbortController(), expectedBytesPerSec, settled, end };
}

const run = (fill: string, length: number): Buffer[] => [Buffer.alloc(length, fill)];

describe('PieceRace', () => {
  it('lets the faster transfer take over only when the last write of the slower one has landed', async () => {
    const { race, content, land } = raceWithStore();
    let now = 0;
    const [slow, fast] = [runner(() => now), runner(() => now)];
    race.runners.add(slow).add(fast);
    const late = race.sinkOf(slow).write(0, run('s', 10));
    await new Promise(setImmediate);
    now = 1_000;
    const taking = race.sinkOf(fast).write(0, run('f', LENGTH));
    await new Promise(setImmediate);
    // Told to stop, but its write is still under way: nobody else writes yet.
    expect(slow.stop.signal.aborted).toBe(true);
    expect(content.toString('latin1')).toBe('\0'.repeat(LENGTH));
    await land();
    await late;
    expect(content.subarray(0, 12).toString('latin1')).toBe('ssssssssss\0\0');
    race.drop(slow);
    slow.end();
    await land();
    await taking;
    expect(content.toString()).toBe('f'.repeat(LENGTH));
    expect(race.win(slow)).toBe(false);
    expect(race.win(fast)).toBe(true);
    await expect(race.sinkOf(slow).write(10, run('s', 10))).rejects.toMatchObject({ code: 'RACE_LOST' });
    expect(content.toString()).toBe('f'.repeat(LENGTH));
  });

  it('turns away a second transfer that would be done later', async () => {
    const { race, land } = raceWithStore();
    let now = 0;
    const first = runner(() => now);
    race.runners.add(first);
    const writing = race.sinkOf(first).write(0, run('a', 90));
    await land();
    await writing;
    now = 10;
    const second = runner(() => now);
    race.runners.add(second);
    now = 20;
    await expect(race.sinkOf(second).write(0, run('b', 1))).rejects.toMatchObject({ code: 'RACE_LOST' });
    expect(first.stop.signal.aborted).toBe(false);
    expect(race.win(first)).toBe(true);
  });

  it('is given away when no transfer can write any more, and not when it is decided', async () => {
    const { race, land } = raceWithStore();
    const one = runner(() => 0);
    race.runners.add(one);
    const writing = race.sinkOf(one).write(0, run('a', 50));
    await land();
    await writing;
    let isCeded = false;
    const ceding = race.cede().then((was) => (isCeded = was));
    await new Promise(setImmediate);
    expect(isCeded).toBe(false);
    one.end();
    expect(await ceding).toBe(true);
    expect(race.win(one)).toBe(false);
    expect(await race.cede()).toBe(false);
  });
});
