import { describe, expect, it } from '@jest/globals';
import { Reputation } from './reputation.ts';

const MINUTE_MS = 60_000;

function setUp() {
  let nowMs = 1_000_000;
  const reputation = new Reputation(() => nowMs);
  return { reputation, pass: (ms: number) => void (nowMs += ms) };
}

describe('Reputation', () => {
  it.each([
    ['wrongBytes', 10 * MINUTE_MS],
    ['falseVoucher', 10 * MINUTE_MS],
    ['stalled', MINUTE_MS],
    ['unreachable', MINUTE_MS / 6],
  ] as const)('leaves a host alone after %s for %i ms, and no longer', (offence, ms) => {
    const { reputation, pass } = setUp();
    reputation.blame('h', offence);
    expect(reputation.isTrusted('h')).toBe(false);
    expect(reputation.isTrusted('other')).toBe(true);
    pass(ms - 1);
    expect(reputation.isTrusted('h')).toBe(false);
    pass(1);
    expect(reputation.isTrusted('h')).toBe(true);
  });

  it('doubles the time with each further offence, up to an hour', () => {
    const { reputation, pass } = setUp();
    for (const minutes of [10, 20, 40, 60, 60]) {
      reputation.blame('h', 'wrongBytes');
      pass(minutes * MINUTE_MS - 1);
      expect(reputation.isTrusted('h')).toBe(false);
      pass(1);
      expect(reputation.isTrusted('h')).toBe(true);
    }
  });

  it('does not shorten the time for a lie when silence follows', () => {
    const { reputation, pass } = setUp();
    reputation.blame('h', 'falseVoucher');
    reputation.blame('h', 'unreachable');
    pass(10 * MINUTE_MS - 1);
    expect(reputation.isTrusted('h')).toBe(false);
    expect(reputation.isHonest('h')).toBe(false);
  });

  it('believes what a slow host says', () => {
    const { reputation } = setUp();
    reputation.blame('h', 'stalled');
    expect(reputation.isTrusted('h')).toBe(false);
    expect(reputation.isHonest('h')).toBe(true);
  });

  it('forgets silence with the first good bytes', () => {
    const { reputation } = setUp();
    reputation.blame('h', 'stalled');
    reputation.praise('h');
    expect(reputation.isTrusted('h')).toBe(true);
  });

  it('forgets a lie only after its time, and a repeated one only by and by', () => {
    const { reputation, pass } = setUp();
    reputation.blame('h', 'wrongBytes');
    reputation.praise('h');
    expect(reputation.isTrusted('h')).toBe(false);
    reputation.blame('h', 'wrongBytes');
    pass(20 * MINUTE_MS);
    reputation.praise('h');
    // Half as bad as it was, so the next one counts as a second one.
    reputation.blame('h', 'wrongBytes');
    pass(20 * MINUTE_MS - 1);
    expect(reputation.isTrusted('h')).toBe(false);
    pass(1);
    reputation.praise('h');
    reputation.praise('h');
    reputation.blame('h', 'wrongBytes');
    pass(10 * MINUTE_MS);
    expect(reputation.isTrusted('h')).toBe(true);
  });

  it('takes back an offence that was none, and no other', () => {
    const { reputation } = setUp();
    reputation.blame('h', 'wrongBytes');
    reputation.pardon('h', 'wrongBytes');
    expect(reputation.isTrusted('h')).toBe(true);
    reputation.blame('h', 'falseVoucher');
    reputation.pardon('h', 'wrongBytes');
    expect(reputation.isTrusted('h')).toBe(false);
  });
});
