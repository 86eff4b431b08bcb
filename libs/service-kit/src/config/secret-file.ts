import { readFileSync } from 'node:fs';
import { describeSystemError } from '../lifecycle/start-error.ts';
import { Secret } from '../observe/secret.ts';
import { ConfigError } from './config-error.ts';

/**
 * A secret, as written under `key` or from the file that `keyFile` names, which is how Kubernetes and others hand it out. A newline at the end
 * of a file is none of it.
 * @returns undefined when there is neither
 * @throws {ConfigError} both are there, the file cannot be read or is empty
 */
export function secretOrFile(key: string, written: Secret | undefined, path: string | undefined): Secret | undefined {
  if (path === undefined) return written?.reveal() === '' ? undefined : written;
  if (written !== undefined) throw new ConfigError([`${key}File: the same setting as ${key}, keep only one of them`]);
  let value: string;
  try {
    value = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new ConfigError([`${key}File: ${describeSystemError(error, path) ?? `${path}: cannot be read`}`], {
      cause: error,
    });
  }
  if (value === '') throw new ConfigError([`${key}File: ${path} is empty`]);
  return new Secret(value);
}
