import { types } from 'node:util';

/** Whether a value is an error, also one made in another realm (a vm context, where `instanceof` fails). */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value) || value instanceof DOMException;
}
