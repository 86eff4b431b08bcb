import type { z } from 'zod';
import { formatDurationMs } from './units.ts';

export interface DescribedConfiguration {
  /** With a description at every key. */
  readonly schema: z.ZodType;
  /** As for `readConfig`. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly knownElsewhere: readonly string[];
}

interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly defaultValue?: unknown;
}
const definitionOf = (schema: z.ZodType): Definition => schema._zod.def;

/** Every key of the configuration with its default and meaning, other names, and what has no effect, as Markdown tables. */
export function configurationTables({ schema, aliases: renamed, knownElsewhere }: DescribedConfiguration): string {
  const keys = [...rowsOf(schema, [])];
  const aliases = Object.entries(renamed).map(([from, to]) => `| \`${from}\` | \`${to}\` |`);
  return [
    '| Key | Default | Meaning |',
    '| --- | --- | --- |',
    ...keys,
    '',
    '| Also written | Means |',
    '| --- | --- |',
    ...aliases,
    '',
    `Without effect here, with a warning each: ${knownElsewhere.map((key) => `\`${key}\``).join(', ')}.`,
  ].join('\n');
}

function* rowsOf(schema: z.ZodType, path: readonly string[]): Generator<string> {
  const { shape } = definitionOf(unwrap(schema));
  if (shape === undefined || schema.description !== undefined) {
    yield `| \`${path.join('.')}\` | ${defaultOf(schema)} | ${schema.description ?? ''} |`;
    return;
  }
  for (const [key, field] of Object.entries(shape)) yield* rowsOf(field, [...path, key]);
}

function unwrap(schema: z.ZodType): z.ZodType {
  const { innerType } = definitionOf(schema);
  return innerType === undefined ? schema : unwrap(innerType);
}

function defaultOf(schema: z.ZodType): string {
  const { type, defaultValue, innerType } = definitionOf(schema);
  if ((type !== 'default' && type !== 'prefault') || innerType === undefined) return '';
  // What takes `1s` and has a number for a default is a duration.
  if (typeof defaultValue === 'number' && innerType.safeParse('1s').success)
    return `\`${formatDurationMs(defaultValue)}\``;
  return `\`${JSON.stringify(defaultValue)}\``;
}
