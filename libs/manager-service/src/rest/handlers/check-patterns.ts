import { InvalidRequestError } from '../errors.ts';
import type { Services } from '../services.ts';

/** Names of lists whose entries are regular expressions, wherever in a body they stand. */
const PATTERNS: ReadonlySet<string> = new Set(['hostnames', 'urls', 'regex']);

/**
 * Refuses what is no pattern before it is stored: stock daemons ignore a whole configuration that has one.
 * @throws {InvalidRequestError}
 */
export function checkPatterns(
  value: unknown,
  { patternProblemOf }: Pick<Services, 'patternProblemOf'>,
  path = '',
): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, field] of Object.entries(value)) {
    const at = path === '' ? name : `${path}.${name}`;
    for (const pattern of PATTERNS.has(name) ? textsOf(field) : []) {
      const problem = patternProblemOf(pattern);
      if (problem !== undefined)
        throw new InvalidRequestError(`${at}: ${JSON.stringify(pattern)} is no pattern: ${problem}`);
    }
    checkPatterns(field, { patternProblemOf }, at);
  }
}

function textsOf(field: unknown): readonly string[] {
  const all: readonly unknown[] = Array.isArray(field) ? field : [field];
  return all.filter((each) => typeof each === 'string');
}
