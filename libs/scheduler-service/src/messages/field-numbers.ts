import type { DescMessage } from '@bufbuild/protobuf';

/** The number of a field, for those who write messages field by field. @throws {TypeError} the protocol has no such field */
export function numberIn(schema: DescMessage, name: string): number {
  const found = schema.fields.find((each) => each.name === name);
  if (found === undefined) throw new TypeError(`${schema.typeName} has no field ${name}`);
  return found.number;
}
