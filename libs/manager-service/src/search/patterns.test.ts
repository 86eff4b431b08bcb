import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compilePatterns, patternProblemOf } from './patterns.ts';

describe('compilePatterns', () => {
  it('finds patterns anywhere in the text, and each by itself', () => {
    const patterns = compilePatterns(['^node-', 'edge', '-[0-9]+$', '(?i)NODE', 'x*', '\\bedge\\b']);
    expect([...patterns.foundIn('node-edge-17')].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...patterns.foundIn('ledger')].sort()).toEqual([1, 4]);
  });

  it('passes over what is no pattern and keeps the places of the others', () => {
    const patterns = compilePatterns(['(', 'a', '(?=b)', 'c', 'd'.repeat(2000)]);
    expect([...patterns.rejected.keys()]).toEqual([0, 2, 4]);
    expect([...patterns.foundIn('ac')].sort()).toEqual([1, 3]);
    expect(compilePatterns(['(']).foundIn('(')).toEqual([]);
    expect(compilePatterns([]).foundIn('a')).toEqual([]);
  });

  it('finds what the language’s own engine finds', () => {
    const atoms = fc.constantFrom('a', 'b', 'ab', '[ab]', '.', 'a|b', '(ab)', '^a', 'b$', 'a*', 'b+', 'a?b');
    const expressions = fc.array(atoms, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(expressions, { maxLength: 6 }), fc.stringMatching(/^[abc]{0,8}$/), (list, text) => {
        const expected = list.flatMap((expression, index) => (new RegExp(expression).test(text) ? [index] : []));
        expect([...compilePatterns(list).foundIn(text)].sort()).toEqual(expected);
      }),
    );
  });

  it('takes no more than linear time, whatever was written', () => {
    const patterns = compilePatterns(['(a+)+$', '(a|aa)+$', '(.*)*x']);
    const started = performance.now();
    patterns.foundIn(`${'a'.repeat(253)}!`);
    // Backtracking would take longer than the universe has lasted.
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('patternProblemOf', () => {
  it('knows what stock daemons do not understand', () => {
    expect(patternProblemOf('https://.*\\.example')).toBeUndefined();
    for (const bad of ['(', '(?=a)', '\\1', 'a'.repeat(2000)])
      expect(patternProblemOf(bad)).toEqual(expect.any(String));
  });
});
