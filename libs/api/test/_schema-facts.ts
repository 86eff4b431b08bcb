import type { DescField, DescFile, DescMessage } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';

/** What two schemas are compared by: one entry for each declaration, its full name and kind as key. */
export type SchemaFacts = ReadonlyMap<string, string>;

/** The published schema as its data file has it. */
export interface PublishedSchema {
  readonly packages: Readonly<Record<string, PublishedPackage>>;
}

interface PublishedPackage {
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly messages: Readonly<Record<string, PublishedMessage>>;
  readonly services: Readonly<Record<string, Readonly<Record<string, MethodFacts>>>>;
}

interface PublishedMessage {
  readonly fields: readonly PublishedField[];
  /** First and last number of each range, both included. */
  readonly reserved?: readonly (readonly [first: number, last: number])[];
}

interface FieldFacts {
  readonly number: number;
  readonly type: string;
  readonly kind?: string | undefined;
  readonly key?: string | undefined;
  readonly value?: string | undefined;
  readonly repeated?: boolean;
  readonly optional?: boolean;
  readonly oneof?: string | undefined;
}

interface PublishedField extends FieldFacts {
  readonly name: string;
}

interface MethodFacts {
  readonly request: string;
  readonly response: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

/** @throws when the data has a key that is not compared */
export function factsOfPublished({ packages }: PublishedSchema): SchemaFacts {
  const facts = new Map<string, string>();
  for (const [packageName, { enums, messages, services, ...others }] of Object.entries(packages)) {
    demandNothing(packageName, others);
    for (const [name, values] of Object.entries(enums)) {
      facts.set(`enum ${packageName}.${name}`, 'declared');
      for (const [value, number] of Object.entries(values)) {
        facts.set(`enum value ${packageName}.${name}.${value}`, `${number}`);
      }
    }
    for (const [name, { fields, reserved = [], ...rest }] of Object.entries(messages)) {
      demandNothing(name, rest);
      facts.set(`message ${packageName}.${name}`, describeReserved(reserved));
      for (const field of fields) facts.set(`field ${packageName}.${name}.${field.name}`, describeField(field));
    }
    for (const [name, methods] of Object.entries(services)) {
      facts.set(`service ${packageName}.${name}`, 'declared');
      for (const [method, shape] of Object.entries(methods)) {
        facts.set(`method ${packageName}.${name}/${method}`, describeMethod(shape));
      }
    }
  }
  return facts;
}

export function factsOfFiles(files: readonly DescFile[]): SchemaFacts {
  const facts = new Map<string, string>();
  for (const file of files) {
    for (const { typeName, values } of file.enums) {
      facts.set(`enum ${typeName}`, 'declared');
      for (const { name, number } of values) facts.set(`enum value ${typeName}.${name}`, `${number}`);
    }
    for (const message of file.messages) addMessage(facts, message);
    for (const { typeName, methods } of file.services) {
      facts.set(`service ${typeName}`, 'declared');
      for (const { name, input, output, methodKind } of methods) {
        const shape = {
          request: input.typeName,
          response: output.typeName,
          clientStreaming: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
          serverStreaming: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
        };
        facts.set(`method ${typeName}/${name}`, describeMethod(shape));
      }
    }
    for (const { typeName } of file.extensions) facts.set(`extension ${typeName}`, 'declared');
  }
  return facts;
}

/** Every difference as a sentence that names the declaration; empty when the schemas are the same. */
export function differencesOf(ours: SchemaFacts, published: SchemaFacts): string[] {
  const names = new Set([...ours.keys(), ...published.keys()]);
  return [...names].flatMap((name) => {
    const [our, their] = [ours.get(name), published.get(name)];
    if (our === their) return [];
    if (our === undefined) return [`${name} is missing`];
    if (their === undefined) return [`${name} is not published`];
    return [`${name} is ${our}, published is ${their}`];
  });
}

function addMessage(facts: Map<string, string>, message: DescMessage): void {
  const reserved = message.proto.reservedRange.map(({ start, end }) => [start, end - 1] as const);
  facts.set(`message ${message.typeName}`, describeReserved(reserved));
  for (const field of message.fields)
    facts.set(`field ${message.typeName}.${field.name}`, describeField(factsOf(field)));
  for (const nested of message.nestedMessages) addMessage(facts, nested);
  for (const nested of message.nestedEnums) facts.set(`enum ${nested.typeName}`, 'declared');
}

function factsOf(field: DescField): FieldFacts {
  const { number, oneof, message, enum: enumeration, scalar } = field;
  const type = message?.typeName ?? enumeration?.typeName ?? scalarName(scalar);
  if (field.fieldKind === 'map') return { number, type: 'map', key: scalarName(field.mapKey), value: type };
  return {
    number,
    type,
    kind: message !== undefined ? 'message' : enumeration !== undefined ? 'enum' : undefined,
    repeated: field.fieldKind === 'list',
    optional: field.proto.proto3Optional,
    oneof: oneof?.name,
  };
}

function describeField({ number, type, kind, key, value, repeated, optional, oneof, ...rest }: FieldFacts): string {
  const { name: _name, ...others } = rest as Partial<PublishedField>;
  demandNothing(type, others);
  return [
    oneof === undefined ? '' : `oneof ${oneof}: `,
    optional === true ? 'optional ' : '',
    repeated === true ? 'repeated ' : '',
    kind === undefined ? '' : `${kind} `,
    key === undefined || value === undefined ? type : `${type}<${key}, ${value}>`,
    ` = ${number}`,
  ].join('');
}

function describeReserved(ranges: Required<PublishedMessage>['reserved']): string {
  const numbers = ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
  return numbers.length === 0 ? 'declared' : `declared and reserves ${numbers.sort((a, b) => a - b).join(', ')}`;
}

function describeMethod({ request, response, clientStreaming, serverStreaming, ...others }: MethodFacts): string {
  demandNothing(request, others);
  return `(${clientStreaming ? 'stream ' : ''}${request}) returns (${serverStreaming ? 'stream ' : ''}${response})`;
}

function scalarName(scalar: ScalarType | undefined): string {
  return scalar === undefined ? 'unknown' : ScalarType[scalar].toLowerCase();
}

function demandNothing(owner: string, others: object): void {
  const keys = Object.keys(others);
  if (keys.length > 0) throw new Error(`${owner} has ${keys.join(', ')}, which nothing compares`);
}
