import type { DescField, DescMessage, Message } from '@bufbuild/protobuf';
import { create, ScalarType } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import type { Conditions, PublishedRule } from './_published-rules.ts';
import { PUBLISHED } from './_published-rules.ts';

/** Values that keep a published rule and values that break it; `undefined` stands for a field that is not set. */
export interface Samples {
  readonly good: readonly unknown[];
  readonly bad: readonly unknown[];
}

const hex = (length: number) => 'aF09'.repeat(length / 4);

const TEXTS: Readonly<Record<string, Samples>> = {
  uri: {
    good: ['https://registry.test/v2/a/blobs/sha256:0?ns=x', 's3://bucket/key', 'http:', 'urn:a'],
    bad: ['', '/path', 'registry.test/x', 'http://a b/', 'http://h:port/', 'http://h/%zz', 'ht tp://h'],
  },
  ip: { good: ['192.0.2.1', '::1', '::ffff:192.0.2.1'], bad: ['', '192.0.2', '192.0.2.01', 'fe80::1%eth0', 'host'] },
  hostname: {
    good: ['a', 'node-1.example.test', 'node.', '9', 'x'.repeat(63)],
    bad: ['', 'a_b', '-a', 'a-', 'a..b', 'x'.repeat(64), `${'a.'.repeat(127)}a`, 'ä'],
  },
  '^(md5': {
    good: [
      `md5:${hex(32)}`,
      `sha1:${hex(40)}`,
      `sha256:${hex(64)}`,
      `sha512:${hex(128)}`,
      `blake3:${hex(64)}`,
      'crc32:1',
    ],
    bad: [
      `md5:${hex(64)}`,
      'sha256:',
      `sha256:${hex(64)}\n`,
      ` sha1:${hex(40)}`,
      'crc32:x',
      hex(64),
      '',
      `SHA1:${hex(40)}`,
    ],
  },
  '^(single': {
    good: ['single_seed_peer', 'all_seed_peers', 'all_peers'],
    bad: ['', 'all', 'all_peers\n', 'all_peers,all_seed_peers'],
  },
};

/** Samples for one published rule of a field. */
export function samplesOf(field: DescField, published: PublishedRule): Samples {
  const [[kind, conditions] = ['', {}]] = Object.entries(published);
  const { good, bad } = conditions['required'] === true ? required(field) : byKind(kind, conditions, field);
  if (conditions['ignore_empty'] !== true) return { good, bad };
  const empty = bad.filter(isEmpty);
  return { good: [...good, ...empty], bad: bad.filter((value) => !isEmpty(value)) };
}

function byKind(kind: string, conditions: Conditions, field: DescField): Samples {
  switch (kind) {
    case 'string':
      return texts(conditions);
    case 'bytes': {
      const length = (conditions['len'] ?? conditions['min_len']) as number;
      const tooLong = conditions['len'] === undefined ? [] : [new Uint8Array(length + 1)];
      return { good: [new Uint8Array(length)], bad: [new Uint8Array(length - 1), new Uint8Array(), ...tooLong] };
    }
    case 'repeated':
      return { good: [[itemOf(field)], [itemOf(field), itemOf(field)]], bad: [[]] };
    case 'enum': {
      const known = field.enum?.values.map(({ number }) => number) ?? [];
      return { good: known, bad: [Math.max(...known) + 1, -1] };
    }
    case 'duration':
      return durations(conditions as { gte: { seconds: number }; lte: { seconds: number } });
    default:
      return numbers(kind, conditions);
  }
}

interface TextConditions {
  readonly min_len?: number;
  readonly max_len?: number;
  readonly in?: readonly [string];
  readonly pattern?: string;
}

function texts(conditions: Conditions): Samples {
  const { min_len: min = 0, max_len: max, in: oneOf, pattern } = conditions as TextConditions;
  for (const [key, samples] of Object.entries(TEXTS)) {
    if (conditions[key] === true || pattern?.startsWith(key) === true) return samples;
  }
  if (oneOf !== undefined) return { good: oneOf, bad: ['', 'other', `${oneOf[0]} `] };
  const good = ['x'.repeat(Math.max(min, 1)), '\u{1f600}'.repeat(max ?? Math.max(min, 1))];
  const bad = ['x'.repeat(Math.max(min - 1, 0)), ...(max === undefined ? [] : ['x'.repeat(max + 1)])];
  return { good, bad: min === 0 ? bad.filter((text) => text !== '') : bad };
}

function numbers(kind: string, { gte, lte, lt }: Conditions): Samples {
  const good: number[] = [];
  const bad: number[] = [];
  if (typeof gte === 'number') {
    good.push(gte);
    bad.push(gte - 1, 0);
  }
  if (typeof lte === 'number') {
    good.push(lte);
    bad.push(lte + 1);
  }
  if (typeof lt === 'number') {
    good.push(lt - 1);
    bad.push(lt, lt + 1);
  }
  if (kind === 'double') good.push(NaN);
  const representable = kind.startsWith('u') ? bad.filter((value) => value >= 0) : bad;
  const isBad = (value: number) => !good.includes(value);
  const inForm = (values: number[]) => (kind.endsWith('64') ? values.map(BigInt) : values);
  return { good: inForm(good), bad: inForm(representable.filter(isBad)) };
}

function durations({ gte, lte }: { gte: { seconds: number }; lte: { seconds: number } }): Samples {
  const duration = (seconds: number, nanos = 0) => create(DurationSchema, { seconds: BigInt(seconds), nanos });
  return {
    good: [undefined, duration(gte.seconds), duration(lte.seconds)],
    bad: [
      duration(gte.seconds - 1, 999_999_999),
      duration(lte.seconds, 1),
      duration(0),
      duration(gte.seconds, -1),
      duration(gte.seconds, 1e9),
      duration(315_576_000_001),
    ],
  };
}

function required(field: DescField): Samples {
  return { good: field.message === undefined ? [] : [validExample(field.message)], bad: [undefined] };
}

function itemOf(field: DescField): unknown {
  if (field.fieldKind === 'list' && field.listKind === 'message') return validExample(field.message);
  return field.scalar === ScalarType.STRING ? '' : 0;
}

/** The smallest message of a type that keeps all rules. */
export function validExample(desc: DescMessage): Message {
  const message = create(desc);
  for (const [name, published] of Object.entries(publishedRulesOf(desc))) {
    if (name.startsWith('oneof:')) {
      const oneof = desc.oneofs.find((candidate) => `oneof:${candidate.name}` === name);
      const member = oneof?.fields.find((field) => field.message !== undefined);
      if (member?.message !== undefined) withField(message, member, validExample(member.message));
    } else {
      const field = fieldNamed(desc, name);
      withField(message, field, samplesOf(field, published).good[0]);
    }
  }
  return message;
}

/** Sets one field of a message, inside its oneof where it has one, or clears it for `undefined`; gives the message. */
export function withField(message: Message, field: DescField, value: unknown): Message {
  const values = message as unknown as Record<string, unknown>;
  if (field.oneof !== undefined) {
    values[field.oneof.localName] = value === undefined ? { case: undefined } : { case: field.localName, value };
  } else if (value === undefined) Reflect.deleteProperty(values, field.localName);
  else values[field.localName] = value;
  return message;
}

export function fieldNamed(desc: DescMessage, name: string): DescField {
  const field = desc.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`${desc.typeName} has no field ${name}`);
  return field;
}

function publishedRulesOf(desc: DescMessage) {
  return PUBLISHED[desc.file.proto.package]?.[desc.name] ?? {};
}

function isEmpty(value: unknown): boolean {
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
  return value === '' || value === 0 || value === 0n;
}
