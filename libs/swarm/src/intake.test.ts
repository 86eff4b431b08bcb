import { describe, expect, it } from '@jest/globals';
import { Intake } from './intake.ts';
import { LinkUse } from './link-use.ts';

const MIB = 2 ** 20;
const PIECE = 4 * MIB;

describe('Intake', () => {
  it('is idle until a piece is taken up, and again shortly before the piece is here', () => {
    const intake = new Intake();
    expect(intake.level(0)).toBe('idle');
    const transfer = intake.begin(PIECE, 0);
    expect(intake.level(0)).toBe('full');
    for (let part = 0; part < 6; part++) intake.received(transfer, MIB / 2, part * 60);
    expect([intake.level(300), intake.takes('turn', 300)]).toEqual(['full', false]);
    intake.received(transfer, MIB / 2, 350);
    expect([intake.level(350), intake.takes('turn', 350)]).toEqual(['idle', true]);
    intake.end(transfer);
    expect(intake.level(400)).toBe('idle');
  });

  it.each([
    ['is full with a turn that it took', 10, 'full'],
    ['takes another turn where pieces begin late for how long they take', 100, 'open'],
  ])('%s', (_, answerMs, level) => {
    const intake = new Intake();
    const first = intake.begin(PIECE, 0);
    for (let part = 1; part <= 8; part++) intake.received(first, MIB / 2, answerMs + part * 20);
    intake.end(first);
    // This one comes unasked.
    const unasked = intake.begin(PIECE, 300);
    for (let part = 0; part < 8; part++) intake.received(unasked, MIB / 2, 300 + part * 20);
    intake.end(unasked);
    intake.begin(PIECE, 500);
    expect([intake.level(500), intake.takes('turn', 500)]).toEqual([level, level === 'open']);
    intake.begin(PIECE, 500);
    expect(intake.level(500)).toBe('full');
  });

  it('knows how long the rest of a piece will take from its half on, also between two runs of bytes', () => {
    const intake = new Intake();
    const transfer = intake.begin(PIECE, 0);
    intake.received(transfer, MIB, 60);
    expect(intake.leftMs(transfer, 60)).toBe(Infinity);
    intake.received(transfer, MIB, 100);
    // A MiB takes 40 ms, whatever passed before the first one.
    expect([intake.leftMs(transfer, 100), intake.leftMs(transfer, 130)]).toEqual([80, 50]);
    expect(intake.leftMs(transfer, 1_000)).toBe(0);
    intake.received(transfer, 2 * MIB, 180);
    expect(intake.leftMs(transfer, 180)).toBe(0);
  });

  it('is idle before the end as long as the next piece will need to begin', () => {
    const intake = new Intake();
    for (let startMs = 0; startMs < 10_000; startMs += 1_000) {
      const slow = intake.begin(PIECE, startMs);
      for (let part = 1; part <= 4; part++) intake.received(slow, MIB, startMs + 10 + part * 40);
      intake.end(slow);
    }
    const transfer = intake.begin(PIECE, 10_000);
    for (let part = 1; part <= 3; part++) intake.received(transfer, MIB, 10_000 + part * 40);
    // First bytes came 10 ms after they were asked for: an offer, its way and the request take thrice that. 40 ms are left.
    expect(intake.settlesInMs(transfer, 10_120)).toBeGreaterThan(9);
    expect(intake.settlesInMs(transfer, 10_120)).toBeLessThan(13);
    expect([intake.level(10_125), intake.level(10_135)]).toEqual(['full', 'idle']);
  });

  it('waits for a piece that it took up for some time only', () => {
    const intake = new Intake();
    const transfer = intake.begin(PIECE, 0);
    expect(intake.level(intake.beginMs - 1)).toBe('full');
    expect(intake.level(intake.beginMs)).toBe('idle');
    intake.received(transfer, 1, 400);
    expect(intake.level(400)).toBe('full');
  });

  it('takes what nobody else has beside one piece that is coming, and no more', () => {
    const intake = new Intake();
    const first = intake.begin(PIECE, 0);
    intake.received(first, MIB, 100);
    expect(intake.takes('fresh', 100)).toBe(true);
    intake.received(intake.begin(PIECE, 100), MIB, 200);
    expect([intake.takes('fresh', 200), intake.takes('resting', 200)]).toEqual([false, true]);
  });

  it('takes more while its senders are slower than its link was', () => {
    const intake = new Intake();
    const fast = intake.begin(100 * MIB, 0);
    for (let atMs = 0; atMs <= 2_000; atMs += 100) intake.received(fast, MIB, atMs);
    intake.end(fast);
    const slow = intake.begin(PIECE, 2_000);
    for (let atMs = 2_100; atMs <= 4_000; atMs += 100) intake.received(slow, MIB / 64, atMs);
    expect(intake.level(4_000)).toBe('open');
    expect(intake.takes('turn', 4_000)).toBe(true);
  });
});

describe('LinkUse', () => {
  it('measures what is moved against the most that was', () => {
    const link = new LinkUse();
    expect(link.use(0)).toBe(1);
    for (let atMs = 0; atMs <= 2_000; atMs += 100) link.moved(1000, atMs);
    expect(link.use(2_000)).toBeGreaterThan(0.9);
    for (let atMs = 2_100; atMs <= 4_000; atMs += 100) link.moved(250, atMs);
    expect(link.use(4_000)).toBeGreaterThan(0.2);
    expect(link.use(4_000)).toBeLessThan(0.35);
  });

  it('forgets a rate that does not come again', () => {
    const link = new LinkUse();
    for (let atMs = 0; atMs <= 2_000; atMs += 100) link.moved(1000, atMs);
    for (let atMs = 2_100; atMs <= 600_000; atMs += 100) link.moved(100, atMs);
    expect(link.use(600_000)).toBeGreaterThan(0.7);
  });
});
