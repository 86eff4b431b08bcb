import { readFileSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, parse, parseDocument, Scalar, visit } from 'yaml';
import type { z } from 'zod';
import { describeSystemError } from '../lifecycle/start-error.ts';
import { ConfigError } from './config-error.ts';
import { expandEnv, retype } from './expand-env.ts';
import { nearestKey } from './nearest-key.ts';
import { type Override, overridesOf } from './overrides.ts';
import { unknownKeys } from './schema-walk.ts';
import type { ConfigPath } from './schema-walk.ts';

export interface ReadConfigOptions<Schema extends z.ZodType> {
  /** File to read; also the name used in messages. */
  readonly path?: string | undefined;
  /** The YAML itself, instead of reading `path`. Neither: an empty configuration, so all defaults. */
  readonly text?: string | undefined;
  /** A missing file counts as empty: for a default path that nobody asked for. */
  readonly optional?: boolean;
  readonly schema: Schema;
  /** Old dotted path → new dotted path. A key given under both names is an error. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Dotted paths that upstream knows and we have no use for: a warning instead of an error; everything below counts. */
  readonly knownElsewhere?: Iterable<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `DRAGONFLY_MANAGER` lets variables such as DRAGONFLY_MANAGER_SERVER_NAME win over the file. */
  readonly envPrefix?: string;
}

export interface ConfigRead<T> {
  readonly config: T;
  /** One line each, for the log once there is one. */
  readonly warnings: readonly string[];
}

/**
 * Reads YAML, expands `${ENV}` in its strings, renames aliases and checks everything against the schema.
 * @throws {ConfigError} with every problem found, the first one in its message
 */
export function readConfig<Schema extends z.ZodType>(options: ReadConfigOptions<Schema>): ConfigRead<z.output<Schema>> {
  const source = new ConfigSource(options.path ?? 'configuration', readText(options));
  source.expandVariables(options.env);
  const { envPrefix, env, schema } = options;
  const others = [...Object.keys(options.aliases ?? {}), ...(options.knownElsewhere ?? [])];
  const given = envPrefix === undefined ? undefined : overridesOf(schema, envPrefix, env, others);
  for (const override of given?.overrides ?? []) source.override(override);
  for (const [from, to] of Object.entries(options.aliases ?? {})) source.rename(from.split('.'), to.split('.'));
  const warnings = [...(options.knownElsewhere ?? [])].flatMap((path) => source.dropUnused(path.split('.')));
  for (const variable of given?.unknown ?? [])
    warnings.push(`${variable}: names no key of the configuration and is ignored`);
  source.stopOnProblems();

  for (const { path, known } of unknownKeys(options.schema, source.root)) {
    const nearest = nearestKey(String(path.at(-1)), known);
    const remedy = nearest === undefined ? `known here: ${[...known].sort().join(', ')}` : `did you mean ${nearest}?`;
    source.complain(path, `unknown key, ${remedy}`);
  }
  source.stopOnProblems();

  const result = options.schema.safeParse(source.root);
  if (result.success) return { config: result.data, warnings };
  for (const issue of result.error.issues)
    source.complain(
      issue.path.map((part) => (typeof part === 'number' ? part : String(part))),
      issue.message.charAt(0).toLowerCase() + issue.message.slice(1),
    );
  throw source.error(result.error);
}

function readText({ path, text, optional }: ReadConfigOptions<z.ZodType>): string {
  if (text !== undefined || path === undefined) return text ?? '';
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (optional === true && (error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new ConfigError([describeSystemError(error, path) ?? `${path}: cannot be read`], { cause: error });
  }
}

/** One YAML text on its way to a checked configuration; remembers where each value was written. */
class ConfigSource {
  readonly root: Record<string, unknown>;
  readonly #name: string;
  readonly #lines = new LineCounter();
  readonly #document;
  readonly #problems: string[] = [];
  /** New dotted path → the path under which the file has it. */
  readonly #renamed = new Map<string, ConfigPath>();
  /** Dotted path → the variable that set it. */
  readonly #overridden = new Map<string, string>();

  constructor(name: string, text: string) {
    this.#name = name;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const error of this.#document.errors) {
      const { line } = this.#lines.linePos(error.pos[0]);
      this.#problems.push(`${name}:${line}: not valid YAML: ${error.message.split('\n')[0] ?? ''}`);
    }
    visit(this.#document, {
      Alias: (_key, alias) => {
        if (alias.resolve(this.#document) !== undefined) return;
        const { line } = this.#lines.linePos(alias.range?.[0] ?? 0);
        const written = `*${alias.source}`;
        this.#problems.push(`${name}:${line}: ${written} names no anchor; put a text that begins with * into quotes`);
      },
    });
    this.stopOnProblems();
    const root = this.#toTree() ?? {};
    if (!isRecord(root)) throw new ConfigError([`${name}:1: expected keys and values at the top level`]);
    this.root = root;
  }

  #toTree(): unknown {
    try {
      // Anchors may multiply a small file into a huge tree; a configuration needs no more than this.
      return this.#document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      throw new ConfigError([`${this.#name}:1: not valid YAML: ${(error as Error).message}`], { cause: error });
    }
  }

  complain(path: ConfigPath, what: string): void {
    const key = path.length === 0 ? '' : ` ${dotted(path)}:`;
    this.#problems.push(`${this.#originOf(path)}:${key} ${what}`);
  }

  error(cause?: unknown): ConfigError {
    return new ConfigError(this.#problems, { cause });
  }

  stopOnProblems(): void {
    if (this.#problems.length > 0) throw this.error();
  }

  expandVariables(env: Readonly<Record<string, string | undefined>>): void {
    const expand = (value: unknown, path: ConfigPath): unknown => {
      if (Array.isArray(value)) return value.map((item, index) => expand(item, [...path, index]));
      if (isRecord(value)) {
        for (const [key, item] of Object.entries(value)) value[key] = expand(item, [...path, key]);
        return value;
      }
      if (typeof value !== 'string' || !value.includes('${')) return value;
      const expanded = expandEnv(value, env);
      if (typeof expanded !== 'string') {
        this.complain(
          path,
          `environment variable ${expanded.missing} is not set, set it or write \${${expanded.missing}:-default}`,
        );
        return value;
      }
      const node: unknown = this.#document.getIn(path, true);
      return isScalar(node) && node.type === Scalar.PLAIN ? retype(expanded) : expanded;
    };
    expand(this.root, []);
  }

  /** Puts a value in place of what is written. */
  override({ path, text, variable }: Override): void {
    let value: unknown;
    try {
      value = parse(text, { maxAliasCount: 0 });
    } catch {
      value = text;
    }
    // A text stays a text where YAML would see something else in it, such as a time or nothing at all.
    if (value === null || value === undefined || (typeof value === 'object' && !/^\s*[[{]/.test(text))) value = text;
    let holder = this.root;
    for (const key of path.slice(0, -1)) {
      if (!isRecord(holder[key])) holder[key] = {};
      holder = holder[key] as Record<string, unknown>;
    }
    holder[path.at(-1) ?? ''] = value;
    this.#overridden.set(path.join('.'), variable);
  }

  rename(from: readonly string[], to: readonly string[]): void {
    const value = valueAt(this.root, from);
    if (value === undefined) return;
    if (valueAt(this.root, to) !== undefined) {
      this.complain(from, `the same setting as ${to.join('.')}, keep only that one`);
      return;
    }
    remove(this.root, from);
    let holder = this.root;
    for (const key of to.slice(0, -1)) {
      holder[key] ??= {};
      const next = holder[key];
      if (!isRecord(next)) return this.complain(from, `belongs to ${to.join('.')}, but ${key} is no mapping`);
      holder = next;
    }
    holder[to.at(-1) ?? ''] = value;
    this.#renamed.set(to.join('.'), from);
  }

  dropUnused(path: readonly string[]): string[] {
    if (valueAt(this.root, path) === undefined) return [];
    const origin = this.#originOf(path);
    remove(this.root, path);
    return [`${origin}: ${path.join('.')}: has no effect here and is ignored`];
  }

  /** File and line, or the variable. */
  #originOf(path: ConfigPath): string {
    for (let length = path.length; length > 0; length--) {
      const part = dotted(path.slice(0, length));
      const variable = this.#overridden.get(part) ?? this.#overridden.get(dotted(this.#renamed.get(part) ?? []));
      if (variable !== undefined) return variable;
    }
    return `${this.#name}:${this.#lineOf(path)}`;
  }

  #lineOf(path: ConfigPath): number {
    for (let length = path.length; length > 0; length--) {
      const original = this.#renamed.get(dotted(path.slice(0, length)));
      if (original !== undefined) return this.#lineOf([...original, ...path.slice(length)]);
    }
    let node: unknown = this.#document.contents;
    let offset = 0;
    for (const part of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
        if (pair === undefined) break; // a missing key: the line of what should hold it
        offset = (pair.key as Scalar).range?.[0] ?? offset;
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[Number(part)];
        offset = (node as Scalar | undefined)?.range?.[0] ?? offset;
      } else break;
    }
    return this.#lines.linePos(offset).line || 1;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const dotted = (path: ConfigPath): string =>
  path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );

function valueAt(root: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined),
    root,
  );
}

/** Removes a key, and the mappings that are empty without it. */
function remove(root: Record<string, unknown>, path: readonly string[]): void {
  const holder = path.length > 1 ? valueAt(root, path.slice(0, -1)) : root;
  if (!isRecord(holder)) return;
  delete holder[path.at(-1) ?? ''];
  if (path.length > 1 && Object.keys(holder).length === 0) remove(root, path.slice(0, -1));
}
