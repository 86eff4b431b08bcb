import { HIDDEN, redactHeaders, safeText, safeUrl } from './redact.ts';
import type { HeaderBag } from './redact.ts';
import { isError } from './is-error.ts';
import { Secret } from './secret.ts';

const HEADER_KEY = /headers?$/i;
const URL_KEY = /(?:url|uri|href|location|referer|referrer|path|target|endpoint)$/i;
const SECRET_KEY =
  /^(?:(?:proxy[-_]?)?authorization|(?:set[-_]?)?cookies?|credentials?|auth|passw(?:or)?d|passphrase|.*(?:[a-z]T|[-_]t|^t)okens?|.*(?:[a-z]S|[-_]s|^s)ecrets?|.*(?:api|private|access)[-_]?key|signature)$/i;
const MAX_DEPTH = 8;
const MAX_ITEMS = 100;
const MAX_TEXT = 8_192;

/**
 * A copy of any value that may be logged: Secrets and values under secret-sounding names hidden, headers cut to the allow-list,
 * URLs without queries' values, credentials taken out of texts, errors with their causes as plain objects. Depth and length are
 * bounded; objects of classes unknown here appear by class name only.
 */
export function sanitize(value: unknown, key = '', depth = 0): unknown {
  switch (typeof value) {
    case 'string':
      if (SECRET_KEY.test(key)) return HIDDEN;
      return safeText(shorten(URL_KEY.test(key) ? safeUrl(value) : value));
    case 'bigint':
      return value.toString();
    case 'function':
    case 'symbol':
      return undefined;
    case 'object':
      return value === null ? null : sanitizeObject(value, key, depth);
    default:
      return value;
  }
}

function sanitizeObject(value: object, key: string, depth: number): unknown {
  if (value instanceof Secret || SECRET_KEY.test(key)) return HIDDEN;
  if (isError(value)) return sanitizeError(value, depth);
  if (value instanceof URL) return safeUrl(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `<${value.byteLength} bytes>`;
  if (value instanceof Headers || HEADER_KEY.test(key)) return redactHeaders(value as HeaderBag);
  if (depth >= MAX_DEPTH) return '…';
  if (Array.isArray(value) || value instanceof Set)
    return Array.from(value as Iterable<unknown>, (item, index) =>
      index < MAX_ITEMS ? sanitize(item, key, depth + 1) : undefined,
    ).slice(0, MAX_ITEMS);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (value instanceof Map) return sanitizeEntries(value.entries(), depth);
  if (prototype === Object.prototype || prototype === null) return sanitizeEntries(Object.entries(value), depth);
  return `<${value.constructor.name || 'object'}>`;
}

function sanitizeEntries(entries: Iterable<[unknown, unknown]>, depth: number): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  let count = 0;
  for (const [name, item] of entries) {
    if (count++ >= MAX_ITEMS) break;
    safe[safeText(shorten(String(name)))] = sanitize(item, String(name), depth + 1);
  }
  return safe;
}

function sanitizeError(error: Error, depth: number): Record<string, unknown> {
  const safe: Record<string, unknown> = {
    type: error.name,
    message: safeText(shorten(error.message)),
    stack: safeText(shorten(error.stack ?? '')),
  };
  if (depth >= MAX_DEPTH) return safe;
  for (const [name, item] of Object.entries(error)) if (!(name in safe)) safe[name] = sanitize(item, name, depth + 1);
  if (error.cause !== undefined) safe['cause'] = sanitize(error.cause, 'cause', depth + 1);
  const { errors } = error as AggregateError;
  if (Array.isArray(errors)) safe['errors'] = sanitize(errors, 'errors', depth + 1);
  return safe;
}

const shorten = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
