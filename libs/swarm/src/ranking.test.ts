import { describe, expect, it } from '@jest/globals';
import { Ranking } from './ranking.ts';

describe('Ranking', () => {
  it('gives the best first, equals in the order in which they came, and nobody twice', () => {
    const ranking = new Ranking<string>();
    for (const [name, rank] of [
      ['c', 3],
      ['a', 1],
      ['b', 2],
      ['a again', 1],
    ] as const)
      ranking.add(name, rank);
    expect(ranking.takeBest(2)).toEqual(['a', 'a again']);
    expect(ranking.takeBest(1)).toEqual(['b']);
    expect(ranking.takeBest(9)).toEqual(['c']);
    expect(ranking.takeBest(1)).toEqual([]);
  });

  it('has nobody where nobody was added', () => {
    expect(new Ranking().takeBest(3)).toEqual([]);
  });
});
