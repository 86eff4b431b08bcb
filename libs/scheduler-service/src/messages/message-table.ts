import { ScalarType } from '@bufbuild/protobuf';
import type { DescField, DescMessage, MessageShape } from '@bufbuild/protobuf';
import { unusual } from './wire-reader.ts';
import type { WireReader } from './wire-reader.ts';

/** Reads one value at the place where the reader is. */
export type Read<T = unknown> = (reader: WireReader) => T;

interface Kind {
  readonly wireType: 0 | 2;
  readonly read: Read;
  /** What a field without a value says. */
  readonly nothing: unknown;
}

const NO_BYTES = new Uint8Array(0);
const SCALARS: Readonly<Partial<Record<ScalarType, Kind>>> = {
  [ScalarType.UINT32]: { wireType: 0, read: (reader) => reader.uint32(), nothing: 0 },
  [ScalarType.UINT64]: { wireType: 0, read: (reader) => BigInt(reader.number()), nothing: 0n },
  [ScalarType.BOOL]: { wireType: 0, read: (reader) => reader.flag(), nothing: false },
  [ScalarType.STRING]: { wireType: 2, read: (reader) => reader.text(), nothing: '' },
  [ScalarType.BYTES]: { wireType: 2, read: (reader) => reader.bytes(), nothing: NO_BYTES },
};

interface Field {
  readonly name: string;
  readonly read: Read;
  readonly isList: boolean;
  /** Parts of a message that come one by one are one message: that is left to the general decoder. */
  readonly comesOnce: boolean;
}

/**
 * Makes what reads messages of one type, from what the type says of its fields. Reading throws what is `unusual`: fields that are not of
 * the type, or of a kind that is not known here (of any but lists of messages, and of numbers other than those above).
 * @param special reads messages of other types, by their names, in its own way
 */
export function readerOf<D extends DescMessage>(
  schema: D,
  special: Readonly<Record<string, Read>> = {},
): Read<MessageShape<D>> {
  /** By field number and wire type, as they stand together on the wire. */
  const fields: Field[] = [];
  const lists: string[] = [];
  const nothing: Record<string, unknown> = { $typeName: schema.typeName };
  for (const field of schema.fields) {
    const kind = kindOf(field, special);
    const isList = field.fieldKind === 'list';
    if (isList) lists.push(field.localName);
    if (kind === undefined) continue;
    const comesOnce = field.fieldKind === 'message';
    fields[field.number * 8 + kind.wireType] = { name: field.localName, read: kind.read, isList, comesOnce };
    const isAbsent = comesOnce || field.proto.proto3Optional;
    if (!isAbsent) nothing[field.localName] = kind.nothing;
  }
  return (reader) => {
    const message: Record<string, unknown> = { ...nothing };
    for (const name of lists) message[name] = [];
    while (reader.hasMore) {
      const field = fields[reader.number()];
      if (field === undefined) return unusual();
      const { name, read, isList, comesOnce } = field;
      if (isList) (message[name] as unknown[]).push(read(reader));
      else if (comesOnce && message[name] !== undefined) return unusual();
      else message[name] = read(reader);
    }
    return message as MessageShape<D>;
  };
}

function kindOf(field: DescField, special: Readonly<Record<string, Read>>): Kind | undefined {
  if (field.fieldKind === 'scalar') return SCALARS[field.scalar];
  const isOfMessages = field.fieldKind === 'message' || (field.fieldKind === 'list' && field.listKind === 'message');
  if (!isOfMessages) return undefined;
  const own = special[field.message.typeName];
  if (own !== undefined) return { wireType: 2, read: own, nothing: undefined };
  const readMessage = readerOf(field.message, special);
  return { wireType: 2, read: (reader) => reader.message(readMessage), nothing: undefined };
}
