import { isIP } from 'node:net';
import { z } from 'zod';
import type { LogLevel } from '../observe/logger.ts';
import { Secret } from '../observe/secret.ts';
import { parseByteSize, parseDurationMs } from './units.ts';

/** A zod type that turns text (or a bare number, where that has a meaning) into a value, with one sentence when it cannot. */
function parsed<T>(parse: (text: string) => T | undefined, expected: string): z.ZodType<T, string | number> {
  return z.union([z.string(), z.number()], { error: `expected ${expected}` }).transform((input, issues) => {
    const value = parse(String(input));
    if (value !== undefined) return value;
    issues.addIssue({ code: 'custom', message: `expected ${expected}, not ${JSON.stringify(input)}` });
    return z.NEVER;
  });
}

/** `1h30m`, `500ms` → milliseconds. A number without unit is refused, except 0. */
export const duration = (): z.ZodType<number, string | number> =>
  parsed(parseDurationMs, 'a duration such as 30s, 500ms or 1h30m');

/** `4MiB`, `4Mi`, `50GB`, 4096 → bytes. */
export const byteSize = (): z.ZodType<number, string | number> =>
  parsed(parseByteSize, 'a size such as 4MiB, 4Mi or 50GB');

/** `50GB`, `200Mi/s` → bytes per second. */
export const byteRate = (): z.ZodType<number, string | number> =>
  parsed((text) => parseByteSize(text.replace(/\/s$|ps$/, '')), 'a rate such as 200MiB or 200MiB/s');

/** A TCP or UDP port; 0 lets the system choose. */
export const port = (): z.ZodType<number, string | number> =>
  parsed(
    (text) => (/^\d{1,5}$/.test(text.trim()) && Number(text) <= 65_535 ? Number(text) : undefined),
    'a port from 0 to 65535',
  );

/** Text that must not be seen. A number counts as text: passwords may be all digits. The value never appears in errors. */
export const secretString = (): z.ZodType<Secret, string | number | Secret> =>
  z
    .union([z.string(), z.number(), z.instanceof(Secret)], { error: 'expected text' })
    .transform((input) => (input instanceof Secret ? input : new Secret(String(input))));

/** An IPv4 or IPv6 address. */
export const ipAddress = (): z.ZodType<string, string | number> =>
  parsed((text) => (isIP(text.trim()) === 0 ? undefined : text.trim()), 'an IP address');

/** An absolute http or https URL, as written. */
export const httpUrl = (): z.ZodType<string, string | number> =>
  parsed((text) => {
    const url = URL.parse(text);
    return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.host !== ''
      ? text
      : undefined;
  }, 'a URL such as https://registry.example:5000');

/** Where to listen. */
export interface ListenAddress {
  /** Undefined: every address. */
  readonly host: string | undefined;
  readonly port: number;
}

/** `:8000`, `127.0.0.1:8000`, `[::1]:8000`. */
export const listenAddress = (): z.ZodType<ListenAddress, string | number> =>
  parsed((text) => {
    const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
    if (digits === undefined || Number(digits) > 65_535) return undefined;
    return { host: (bracketed ?? plain) || undefined, port: Number(digits) };
  }, 'an address such as :8000 or 127.0.0.1:8000');

/** `warning` and `panic` are what other programs of this protocol call warn and fatal. */
const LEVELS: Readonly<Record<string, LogLevel>> = { panic: 'fatal', warning: 'warn' };

export const logLevel = () =>
  z
    .enum(['trace', 'debug', 'info', 'warn', 'warning', 'error', 'panic', 'fatal', 'silent'])
    .transform((level) => LEVELS[level] ?? (level as LogLevel));
