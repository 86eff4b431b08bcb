import type { DescField, DescMessage, DescOneof, Message } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import type { MessageRules, Rule } from './rule.ts';
import { meaningOf } from './rule-meaning.ts';

/** A rule that a message breaks. Neither text ever contains a value of the message. */
export interface Violation {
  /** Path from the message down in proto names, list positions in brackets: `download.request.pieces[3].digest`. */
  readonly field: string;
  /** What the field must be, as words that follow its name: `must be an IP address`. */
  readonly rule: string;
}

/** The first violation in a message and everything below it, or undefined. */
export type Check = (message: Message) => Violation | undefined;

/** Checks what one property of a generated message holds; undefined when it is not set. */
type ValueCheck = (value: unknown) => Violation | undefined;

/**
 * Compiles rules into checks, one per message type and only once; recursive types are fine.
 * @param rulesOf the rules of a message type itself, or undefined
 * @returns a function that gives the check of a type, or undefined for a type under which no rule can be broken
 * @throws {TypeError} from the returned function, when a rule names a field that does not exist or does not suit it
 */
export function createCheckCompiler(
  rulesOf: (desc: DescMessage) => MessageRules | undefined,
): (desc: DescMessage) => Check | undefined {
  const compiled = new Map<DescMessage, Check | undefined>();
  return checkOf;

  function checkOf(desc: DescMessage): Check | undefined {
    if (compiled.has(desc)) return compiled.get(desc);
    const properties: string[] = [];
    const checks: ValueCheck[] = [];
    const check: Check = (message) => {
      const values = message as unknown as Readonly<Record<string, unknown>>;
      for (let i = 0; i < checks.length; i++) {
        const violation = (checks[i] as ValueCheck)(values[properties[i] as string]);
        if (violation !== undefined) return violation;
      }
      return undefined;
    };
    compiled.set(desc, hasRulesBelow(desc) ? check : undefined); // before its fields, which may lead back here
    for (const [property, valueCheck] of valueChecksOf(desc)) {
      properties.push(property);
      checks.push(valueCheck);
    }
    return compiled.get(desc);
  }

  function valueChecksOf(desc: DescMessage): [property: string, check: ValueCheck][] {
    const rules = { ...rulesOf(desc) };
    const checks = desc.members.map((member): [string, ValueCheck | undefined] => {
      const name = member.kind === 'oneof' ? `oneof ${member.name}` : member.name;
      const rule = rules[name];
      delete rules[name];
      return [member.localName, member.kind === 'oneof' ? oneofCheck(member, rule, rules) : fieldCheck(member, rule)];
    });
    const [stray] = Object.keys(rules);
    if (stray !== undefined) throw new TypeError(`a rule names ${desc.typeName}.${stray}, which does not exist`);
    return checks.filter((entry): entry is [string, ValueCheck] => entry[1] !== undefined);
  }

  function oneofCheck(oneof: DescOneof, rule: Rule | undefined, rules: Record<string, Rule>): ValueCheck | undefined {
    if (rule !== undefined && rule.kind !== 'required') throw unsuitable(oneof, rule);
    const unset = rule && { field: oneof.name, rule: 'must have one member set' };
    const members = new Map<string, ValueCheck>();
    for (const field of oneof.fields) {
      const check = fieldCheck(field, rules[field.name]);
      delete rules[field.name];
      if (check !== undefined) members.set(field.localName, check);
    }
    if (unset === undefined && members.size === 0) return undefined;
    return (value) => {
      const { case: member, value: content } = value as { case?: string; value?: unknown };
      return member === undefined ? unset : members.get(member)?.(content);
    };
  }

  function fieldCheck(field: DescField, rule: Rule | undefined): ValueCheck | undefined {
    const own = rule && ruleCheck(field, rule);
    const below = contentCheck(field);
    if (own === undefined || below === undefined) return own ?? below;
    return (value) => own(value) ?? below(value);
  }

  /** Checks the messages that a field holds: one, or those of a list or a map. */
  function contentCheck(field: DescField): ValueCheck | undefined {
    const check = field.message && checkOf(field.message);
    if (check === undefined) return undefined;
    const each = (messages: Iterable<Message>) => {
      let index = 0;
      for (const message of messages) {
        const violation = check(message);
        if (violation !== undefined) return under(`${field.name}[${index}]`, violation);
        index++;
      }
      return undefined;
    };
    switch (field.fieldKind) {
      case 'list':
        return (value) => each(value as Message[]);
      case 'map':
        // by position, because a key is a value of the message
        return (value) => each(Object.values(value as Record<string, Message>));
      default:
        return (value) => {
          const violation = value === undefined ? undefined : check(value as Message);
          return violation && under(field.name, violation);
        };
    }
  }

  /** Whether any message reachable from this type has a rule that some value breaks. */
  function hasRulesBelow(desc: DescMessage, seen = new Set<DescMessage>()): boolean {
    if (seen.has(desc)) return false;
    seen.add(desc);
    const rules = rulesOf(desc) ?? {};
    if (Object.entries(rules).some(([name, rule]) => name.startsWith('oneof ') || canBreak(desc, name, rule))) {
      return true;
    }
    return desc.fields.some((field) => field.message !== undefined && hasRulesBelow(field.message, seen));
  }
}

function canBreak(desc: DescMessage, name: string, rule: Rule): boolean {
  const field = desc.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new TypeError(`a rule names ${desc.typeName}.${name}, which does not exist`);
  return ruleCheck(field, rule) !== undefined;
}

function ruleCheck(field: DescField, rule: Rule): ValueCheck | undefined {
  if (!suits(field, rule)) throw unsuitable(field, rule);
  if (rule.kind === 'required') {
    const violation = { field: field.name, rule: 'must be set' };
    return (value) => (value === undefined ? violation : undefined);
  }
  if (rule.kind === 'definedEnum') {
    const known = new Set(field.enum?.values.map(({ number }) => number));
    const violation = { field: field.name, rule: `must be a value that ${field.enum?.typeName ?? ''} defines` };
    return (value) => (value === undefined || known.has(value as number) ? undefined : violation);
  }
  const meaning = meaningOf(rule);
  if (meaning === undefined) return undefined;
  const { accepts, words } = meaning;
  const violation = { field: field.name, rule: words };
  return (value) => (value === undefined || accepts(value) ? undefined : violation);
}

const NUMBERS: readonly ScalarType[] = [
  ScalarType.INT32,
  ScalarType.UINT32,
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.DOUBLE,
];

function suits(field: DescField, rule: Rule): boolean {
  switch (rule.kind) {
    case 'text':
      return field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING;
    case 'bytes':
      return field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES;
    case 'number':
      return field.fieldKind === 'scalar' && NUMBERS.includes(field.scalar);
    case 'definedEnum':
      return field.fieldKind === 'enum';
    case 'items':
      return field.fieldKind === 'list';
    case 'required':
      return field.fieldKind === 'message';
    case 'duration':
      return field.fieldKind === 'message' && field.message.typeName === 'google.protobuf.Duration';
  }
}

function unsuitable(member: DescField | DescOneof, rule: Rule): TypeError {
  return new TypeError(`${member.parent.typeName}.${member.name} cannot have a rule of kind ${rule.kind}`);
}

function under(parent: string, { field, rule }: Violation): Violation {
  return { field: `${parent}.${field}`, rule };
}
