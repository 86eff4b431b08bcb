import { readFileSync } from 'node:fs';
import type { Rule } from './rule.ts';

/** One rule as published: one member that names the kind of field (`string`, `uint64` …) and holds its conditions. */
export type PublishedRule = Readonly<Record<string, Conditions>>;
export type Conditions = Readonly<Record<string, unknown>>;

/** The rules that stock servers enforce: package, message, field (or `oneof:<name>`). */
export const PUBLISHED: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, PublishedRule>>>>>> =
  readPublished();

function readPublished() {
  const file = new URL('../testdata/d7y-v2-rules.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { rules: typeof PUBLISHED }).rules;
}

const NAMES: Readonly<Record<string, string>> = {
  min_len: 'minLength',
  max_len: 'maxLength',
  len: 'length',
  gte: 'atLeast',
  lte: 'atMost',
  lt: 'below',
  min_items: 'atLeast',
  in: 'oneOf',
  pattern: 'pattern',
  ignore_empty: 'orEmpty',
};
const FORMATS = ['uri', 'ip', 'hostname'];
const KINDS: Readonly<Record<string, Rule['kind']>> = {
  string: 'text',
  bytes: 'bytes',
  repeated: 'items',
  int32: 'number',
  uint32: 'number',
  int64: 'number',
  uint64: 'number',
  double: 'number',
};

/**
 * A published rule in this library's form.
 * @throws when the rule has a kind or a condition that this library does not know
 */
export function toRule(name: string, published: PublishedRule): Rule {
  if (name.startsWith('oneof:')) return { kind: 'required' };
  const [[kind, conditions] = ['', {}]] = Object.entries(published);
  const { required, ...others } = conditions;
  if (required === true && Object.keys(others).length === 0) return { kind: 'required' };
  if (kind === 'enum' && conditions['defined_only'] === true) return { kind: 'definedEnum' };
  if (kind === 'duration') {
    const { gte, lte } = conditions as { gte: { seconds: number }; lte: { seconds: number } };
    return { kind, atLeastSeconds: gte.seconds, atMostSeconds: lte.seconds };
  }
  const rule: Record<string, unknown> = { kind: KINDS[kind] };
  for (const [condition, value] of Object.entries(conditions)) {
    if (FORMATS.includes(condition)) rule['format'] = condition;
    else rule[NAMES[condition] ?? `unknown condition ${kind}.${condition}`] = value;
  }
  return rule as unknown as Rule;
}
