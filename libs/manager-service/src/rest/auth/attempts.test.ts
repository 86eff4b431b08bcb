import { describe, expect, it } from '@jest/globals';
import { Attempts } from './attempts.ts';

const attempts = () => {
  const clock = { nowMs: 0 };
  return { clock, throttle: new Attempts({ limit: 3, windowMs: 60_000, maxKeys: 2, now: () => clock.nowMs }) };
};

describe('Attempts', () => {
  it('refuses after the limit of wrong ones, and says for how long', () => {
    const { clock, throttle } = attempts();
    for (let n = 0; n < 3; n++) throttle.begin('a');
    clock.nowMs = 20_000;
    expect(() => throttle.begin('a')).toThrow(expect.objectContaining({ retryAfterMs: 40_000 }));
    expect(() => throttle.begin('b')).not.toThrow();
    clock.nowMs = 60_000;
    expect(() => throttle.begin('a')).not.toThrow();
  });

  it('does not count right ones', () => {
    const { throttle } = attempts();
    for (let n = 0; n < 10; n++) throttle.begin('a').succeeded();
    expect(() => throttle.begin('a')).not.toThrow();
  });

  it('counts those under way', () => {
    const { throttle } = attempts();
    const underWay = [throttle.begin('a'), throttle.begin('a'), throttle.begin('a')];
    expect(() => throttle.begin('a')).toThrow();
    underWay[0]?.succeeded();
    expect(() => throttle.begin('a')).not.toThrow();
  });

  it('remembers no more keys than it may', () => {
    const { throttle } = attempts();
    for (let n = 0; n < 3; n++) throttle.begin('a');
    throttle.begin('b');
    throttle.begin('c');
    expect(() => throttle.begin('a')).not.toThrow();
  });
});
