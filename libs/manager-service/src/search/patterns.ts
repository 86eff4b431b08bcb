import type { Patterns } from '@d7y/cluster-search';
import { RE2JS, RE2Set } from 're2js';

/** Longer ones are nobody's intention. */
const MAX_PATTERN_LENGTH = 1024;
/** Of the state machine; what needs more is matched without one, slower but still in linear time. */
const MAX_STATE_BYTES = 4 * 2 ** 20;

/** Why a text is no regular expression that stock daemons, too, understand; undefined where it is one. */
export function patternProblemOf(text: string): string | undefined {
  if (text.length > MAX_PATTERN_LENGTH) return `longer than ${MAX_PATTERN_LENGTH} characters`;
  try {
    RE2JS.compile(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Regular expressions that operators wrote, searched for in names that anybody may give: in time linear in the name, all in one pass. Bad
 * ones are never found.
 */
export function compilePatterns(patterns: readonly string[]): Patterns {
  const set = new RE2Set(RE2Set.UNANCHORED, 0, MAX_STATE_BYTES);
  const rejected = new Map<number, string>();
  /** Index in the set → index in the list. */
  const indexes: number[] = [];
  for (const [index, pattern] of patterns.entries()) {
    const problem = patternProblemOf(pattern);
    if (problem === undefined) indexes[set.add(pattern)] = index;
    else rejected.set(index, problem);
  }
  if (indexes.length === 0) return { foundIn: () => [], rejected };
  set.compile();
  return { foundIn: (text) => set.match(text).map((found) => indexes[found] ?? -1), rejected };
}
