import type { Duration } from '@bufbuild/protobuf/wkt';
import { isAbsoluteUri } from './absolute-uri.ts';
import type { DurationRule, NumberRule, Rule, TextRule } from './rule.ts';
import { codePointsIn, isHostname, isIpLiteral } from './text-format.ts';

/** What a rule asks: whether a value that is present meets it, and the same as words that follow a field's name. */
export interface RuleMeaning {
  readonly accepts: (value: unknown) => boolean;
  readonly words: string;
}

const FORMATS = {
  uri: { accepts: isAbsoluteUri, words: 'an absolute URI' },
  ip: { accepts: isIpLiteral, words: 'an IP address' },
  hostname: { accepts: isHostname, words: 'a host name' },
} as const;

/** Meaning of a rule about a field's value, or undefined when it lets every value pass. */
export function meaningOf(rule: Exclude<Rule, { kind: 'required' | 'definedEnum' }>): RuleMeaning | undefined {
  if (isVacuous(rule)) return undefined;
  switch (rule.kind) {
    case 'text':
      return textMeaning(rule);
    case 'number':
      return numberMeaning(rule);
    case 'duration':
      return durationMeaning(rule);
    case 'bytes': {
      const { length, minLength = length ?? 0, orEmpty } = rule;
      const maxLength = length ?? Infinity;
      return {
        accepts: (value) => {
          const { byteLength } = value as Uint8Array;
          return (byteLength >= minLength && byteLength <= maxLength) || (orEmpty === true && byteLength === 0);
        },
        words: `must have ${length === undefined ? `at least ${minLength}` : length} bytes`,
      };
    }
    case 'items': {
      const { atLeast } = rule;
      return {
        accepts: (value) => (value as readonly unknown[]).length >= atLeast,
        words: `must have at least ${atLeast} item${atLeast === 1 ? '' : 's'}`,
      };
    }
  }
}

/** "At least one, or none at all" is no condition. */
function isVacuous(rule: Rule): boolean {
  switch (rule.kind) {
    case 'text':
      return (
        rule.orEmpty === true &&
        rule.minLength === 1 &&
        (rule.maxLength ?? rule.pattern ?? rule.format ?? rule.oneOf) === undefined
      );
    case 'bytes':
      return rule.orEmpty === true && rule.minLength === 1 && rule.length === undefined;
    case 'items':
      return rule.orEmpty === true && rule.atLeast === 1;
    default:
      return false;
  }
}

function textMeaning({ minLength = 0, maxLength = Infinity, pattern, format, oneOf, orEmpty }: TextRule): RuleMeaning {
  const conditions: ((text: string) => boolean)[] = [];
  const words: string[] = [];
  if (minLength > 0) {
    // UTF-16 units never undercount code points: only a text that could be too short has to be counted
    conditions.push((text) => text.length >= 2 * minLength || codePointsIn(text) >= minLength);
    words.push(`must have at least ${minLength} character${minLength === 1 ? '' : 's'}`);
  }
  if (maxLength < Infinity) {
    conditions.push((text) => text.length <= maxLength || codePointsIn(text) <= maxLength);
    words.push(`must have at most ${maxLength} characters`);
  }
  if (pattern !== undefined) {
    const expression = new RegExp(pattern, 'u');
    conditions.push((text) => expression.test(text));
    words.push(`must match ${pattern}`);
  }
  if (format !== undefined) {
    conditions.push(FORMATS[format].accepts);
    words.push(`must be ${FORMATS[format].words}`);
  }
  if (oneOf !== undefined) {
    conditions.push((text) => oneOf.includes(text));
    words.push(`must be one of: ${oneOf.join(', ')}`);
  }
  return {
    accepts: (value) => {
      const text = value as string;
      return (orEmpty === true && text === '') || conditions.every((holds) => holds(text));
    },
    words: words.join(' and ') + (orEmpty === true ? ' or be empty' : ''),
  };
}

function numberMeaning({ atLeast = -Infinity, atMost = Infinity, below = Infinity, orEmpty }: NumberRule): RuleMeaning {
  const words: string[] = [];
  if (atLeast > -Infinity) words.push(`at least ${atLeast}`);
  if (atMost < Infinity) words.push(`at most ${atMost}`);
  if (below < Infinity) words.push(`below ${below}`);
  return {
    accepts: (value) => {
      const number = value as number | bigint;
      const isOutside = number < atLeast || number > atMost || (below < Infinity && number >= below); // never of NaN
      return !isOutside || (orEmpty === true && (number === 0 || number === 0n));
    },
    words: `must be ${words.join(' and ')}${orEmpty === true ? ', or 0' : ''}`,
  };
}

const MAX_DURATION_S = 315_576_000_000n;

function durationMeaning({ atLeastSeconds, atMostSeconds }: DurationRule): RuleMeaning {
  return {
    accepts: (value) => {
      const { seconds, nanos } = value as Duration;
      const isValid =
        seconds <= MAX_DURATION_S &&
        seconds >= -MAX_DURATION_S &&
        Math.abs(nanos) < 1e9 &&
        (seconds === 0n || nanos === 0 || seconds > 0n === nanos > 0);
      const total = Number(seconds) + nanos / 1e9;
      return isValid && total >= atLeastSeconds && total <= atMostSeconds;
    },
    words: `must be from ${atLeastSeconds} s to ${atMostSeconds} s`,
  };
}
