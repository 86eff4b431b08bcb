import { describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { linkedSignal } from './linked-signal.ts';

describe('linkedSignal', () => {
  it('follows whichever source is aborted first, with its reason', () => {
    const [first, second] = [new AbortController(), new AbortController()];
    using link = linkedSignal(first.signal, undefined, second.signal);
    second.abort('second');
    first.abort('first');
    expect(link.signal.reason).toBe('second');
  });

  it('is aborted from the start when a source is', () => {
    using link = linkedSignal(AbortSignal.abort('gone'));
    expect(link.signal.reason).toBe('gone');
  });

  it('aborts alone, without touching its sources', () => {
    const source = new AbortController();
    using link = linkedSignal(source.signal);
    link.abort('mine');
    expect([link.signal.reason, source.signal.aborted]).toEqual(['mine', false]);
  });

  it('leaves its sources when disposed, and no longer follows them', () => {
    const source = new AbortController();
    const link = linkedSignal(source.signal);
    expect(getEventListeners(source.signal, 'abort')).toHaveLength(1);
    link[Symbol.dispose]();
    expect(getEventListeners(source.signal, 'abort')).toHaveLength(0);
    source.abort();
    expect(link.signal.aborted).toBe(false);
  });
});
