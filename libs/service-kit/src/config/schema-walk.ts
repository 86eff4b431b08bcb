import type { z } from 'zod';

/** A place in a configuration: object keys and array indices. */
export type ConfigPath = readonly (string | number)[];

type Definition = Readonly<Record<string, unknown>> & { readonly type: string };
const definitionOf = (schema: unknown): Definition => (schema as { _zod: { def: Definition } })._zod.def;

/** The schema below optional, default, nullable, readonly, lazy and transform layers. */
function unwrap(schema: unknown): Definition {
  let definition = definitionOf(schema);
  for (;;) {
    if (definition.type === 'lazy') definition = definitionOf((definition['getter'] as () => unknown)());
    else if (definition.type === 'pipe') definition = definitionOf(definition['in']);
    else if (definition['innerType'] !== undefined) definition = definitionOf(definition['innerType']);
    else return definition;
  }
}

/**
 * Keys of `value` that the schema does not know, with those it does know at that place. Objects are strict here whatever their
 * zod mode, unless they have a catch-all; records know every key. Unions are judged by the option that knows most.
 */
export function* unknownKeys(
  schema: z.ZodType,
  value: unknown,
  path: ConfigPath = [],
): Generator<{ path: ConfigPath; known: readonly string[] }> {
  const definition = unwrap(schema);
  if (definition.type === 'union') {
    const options = (definition['options'] as z.ZodType[]).map((option) => [...unknownKeys(option, value, path)]);
    yield* options.reduce((best, option) => (option.length < best.length ? option : best), options[0] ?? []);
  } else if (Array.isArray(value)) {
    if (definition.type !== 'array') return;
    for (const [index, item] of value.entries())
      yield* unknownKeys(definition['element'] as z.ZodType, item, [...path, index]);
  } else if (value !== null && typeof value === 'object') {
    if (definition.type === 'record') {
      for (const [key, item] of Object.entries(value))
        yield* unknownKeys(definition['valueType'] as z.ZodType, item, [...path, key]);
    } else if (definition.type === 'object') {
      const shape = definition['shape'] as Readonly<Record<string, z.ZodType>>;
      const open = definition['catchall'] !== undefined && unwrap(definition['catchall']).type !== 'never';
      for (const [key, item] of Object.entries(value)) {
        const field = Object.hasOwn(shape, key) ? shape[key] : undefined;
        if (field !== undefined) yield* unknownKeys(field, item, [...path, key]);
        else if (!open) yield { path: [...path, key], known: Object.keys(shape) };
      }
    }
  }
}

/** Paths of all keys, sections among them, down to what has no fixed keys. */
export function* keyPaths(schema: z.ZodType, path: readonly string[] = []): Generator<readonly string[]> {
  const { shape } = unwrap(schema) as { shape?: Readonly<Record<string, z.ZodType>> };
  for (const [key, field] of Object.entries(shape ?? {})) {
    yield [...path, key];
    yield* keyPaths(field, [...path, key]);
  }
}
