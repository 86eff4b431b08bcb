import type { z } from 'zod';
import { keyPaths } from './schema-walk.ts';

/** A value that the environment puts in place of what the file says. */
export interface Override {
  readonly path: readonly string[];
  /** As it would stand in the file, in YAML. */
  readonly text: string;
  /** Where it comes from, for messages. */
  readonly variable: string;
}

/** Variables that Kubernetes sets for a Service whose name begins like the prefix. */
const OF_KUBERNETES = /^(SERVICE_(HOST|PORT.*)|PORT(_\d+_.*)?)$/;

/**
 * What variables `PREFIX_PATH_OF_KEY` say: the parts of a key in capitals, joined by underscores, `database.redis.queueDB` as
 * `PREFIX_DATABASE_REDIS_QUEUEDB` or `PREFIX_DATABASE_REDIS_QUEUE_DB`.
 * @returns also the variables with that prefix which name no key
 */
export function overridesOf(
  schema: z.ZodType,
  prefix: string,
  env: Readonly<Record<string, string | undefined>>,
  more: readonly string[] = [],
): { overrides: Override[]; unknown: string[] } {
  const paths = new Map(
    [...keyPaths(schema), ...more.map((path) => path.split('.'))].map((path) => [plain(path.join('')), path]),
  );
  const overrides: Override[] = [];
  const unknown: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || !variable.startsWith(`${prefix}_`)) continue;
    const rest = variable.slice(prefix.length + 1);
    const path = paths.get(plain(rest));
    if (path !== undefined) overrides.push({ path, text, variable });
    else if (!OF_KUBERNETES.test(rest)) unknown.push(variable);
  }
  return { overrides, unknown };
}

const plain = (name: string): string => name.replaceAll(/[_-]/g, '').toUpperCase();
