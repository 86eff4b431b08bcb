import { ScalarType } from '@bufbuild/protobuf';
import type { DescField, DescMessage, MessageShape } from '@bufbuild/protobuf';
import { UnusualMessage, unusual, WireReader } from './wire-reader.ts';

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
  // Negative ones are longer than a number may be here.
  [ScalarType.INT32]: { wireType: 0, read: (reader) => reader.int32(), nothing: 0 },
  [ScalarType.INT64]: { wireType: 0, read: (reader) => BigInt(reader.number()), nothing: 0n },
  [ScalarType.BOOL]: { wireType: 0, read: (reader) => reader.flag(), nothing: false },
  [ScalarType.STRING]: { wireType: 2, read: (reader) => reader.text(), nothing: '' },
  [ScalarType.BYTES]: { wireType: 2, read: (reader) => reader.bytes(), nothing: NO_BYTES },
};

const ENUM: Kind = { wireType: 0, read: (reader) => reader.int32(), nothing: 0 };
/** The key and the value of an entry of a map, by field number and wire type. */
const KEY = 1 * 8 + 2;
const VALUE = 2 * 8 + 2;

/** Whether several come, and are kept together, or it is one of several, of which one comes. */
type Holds = 'one' | 'list' | 'map' | 'choice';

interface Field {
  readonly name: string;
  readonly read: Read;
  readonly holds: Holds;
  /** Where it is kept: itself, or the choice that it belongs to. */
  readonly place: string;
  /** Parts of a message that come one by one are one message: that is left to the general decoder. */
  readonly comesOnce: boolean;
}

/**
 * Makes what reads messages of one type, from what the type says of its fields. Reading throws what is `unusual`: fields that are not of
 * the type, or of a kind that is not known here (of lists of numbers, of maps of other than strings, and of numbers other than those above).
 * @param special reads messages of other types, by their names, in its own way
 * @param usual of a choice: those that are read; all unless given
 */
export function readerOf<D extends DescMessage>(
  schema: D,
  special: Readonly<Record<string, Read>> = {},
  usual?: readonly string[],
): Read<MessageShape<D>> {
  /** By field number and wire type, as they stand together on the wire. */
  const fields: Field[] = [];
  const fresh = new Map<string, Exclude<Holds, 'one'>>();
  const nothing: Record<string, unknown> = { $typeName: schema.typeName };
  for (const field of schema.fields) {
    const kind = kindOf(field, special);
    const name = field.localName;
    const place = field.oneof?.localName ?? name;
    const holds = holdsOf(field);
    if (holds !== 'one') fresh.set(place, holds);
    if (kind === undefined || (holds === 'choice' && usual?.includes(name) === false)) continue;
    const comesOnce = field.fieldKind === 'message';
    fields[field.number * 8 + kind.wireType] = { name, place, read: kind.read, holds, comesOnce };
    const isAbsent = comesOnce || holds === 'choice' || field.proto.proto3Optional;
    if (!isAbsent) nothing[name] = kind.nothing;
  }
  const empty = [...fresh];
  return (reader) => {
    const message: Record<string, unknown> = { ...nothing };
    for (const [place, holds] of empty)
      message[place] = holds === 'list' ? [] : holds === 'map' ? {} : { case: undefined };
    while (reader.hasMore) {
      const field = fields[reader.number()];
      if (field === undefined) return unusual();
      const { name, place, read, holds, comesOnce } = field;
      if (holds === 'list') (message[place] as unknown[]).push(read(reader));
      else if (holds === 'map') readEntry(reader, message[place] as Record<string, string>);
      else if (holds === 'choice') {
        if ((message[place] as { case: unknown }).case !== undefined) return unusual();
        message[place] = { case: name, value: read(reader) };
      } else if (comesOnce && message[name] !== undefined) return unusual();
      else message[name] = read(reader);
    }
    return message as MessageShape<D>;
  };
}

/** Reads all of a message. @returns undefined where it is in any way out of the ordinary: that is left to the general decoder */
export function readWhole<T>(read: Read<T>, bytes: Buffer): T | undefined {
  try {
    return read(new WireReader(bytes));
  } catch (error) {
    if (error instanceof UnusualMessage) return undefined;
    throw error;
  }
}

function holdsOf(field: DescField): Holds {
  if (field.oneof !== undefined) return 'choice';
  return field.fieldKind === 'list' || field.fieldKind === 'map' ? field.fieldKind : 'one';
}

/** Of a map from strings to strings. */
function readEntry(reader: WireReader, entries: Record<string, string>): void {
  reader.message(() => {
    let key = '';
    let value = '';
    while (reader.hasMore) {
      const field = reader.number();
      if (field === KEY) key = reader.text();
      else if (field === VALUE) value = reader.text();
      else unusual();
    }
    if (key === '__proto__') unusual();
    entries[key] = value;
  });
}

function kindOf(field: DescField, special: Readonly<Record<string, Read>>): Kind | undefined {
  if (field.fieldKind === 'scalar') return SCALARS[field.scalar];
  if (field.fieldKind === 'enum') return ENUM;
  if (field.fieldKind === 'map') {
    const isOfStrings =
      field.mapKey === ScalarType.STRING && field.mapKind === 'scalar' && field.scalar === ScalarType.STRING;
    return isOfStrings ? { wireType: 2, read: unusual, nothing: undefined } : undefined;
  }
  if (field.fieldKind === 'list' && field.listKind === 'scalar') {
    const kind = SCALARS[field.scalar];
    // Numbers may come packed.
    return kind?.wireType === 2 ? kind : undefined;
  }
  const isOfMessages = field.fieldKind === 'message' || (field.fieldKind === 'list' && field.listKind === 'message');
  if (!isOfMessages) return undefined;
  const own = special[field.message.typeName];
  if (own !== undefined) return { wireType: 2, read: own, nothing: undefined };
  const readMessage = readerOf(field.message, special);
  return { wireType: 2, read: (reader) => reader.message(readMessage), nothing: undefined };
}
