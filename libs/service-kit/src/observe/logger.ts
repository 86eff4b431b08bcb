import { pino } from 'pino';
import type { DestinationStream, Logger as PinoLogger } from 'pino';
import { plainLines } from './plain-lines.ts';
import { sanitize } from './sanitize.ts';
import { safeText } from './redact.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
export const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
export type Logger = PinoLogger;

export interface LoggerOptions {
  /** Name of the service, in every line. */
  readonly name: string;
  readonly level?: LogLevel;
  /** Lines for people instead of JSON. */
  readonly console?: boolean;
  /** Where the lines go; standard output unless given. */
  readonly stream?: DestinationStream;
}

/**
 * A pino logger, one JSON object a line, whose every field, message, argument, child binding and error passes `sanitize` first: what is
 * secret stays unprinted whoever logs it.
 */
export function createLogger({ name, level = 'info', console = false, stream }: LoggerOptions): Logger {
  const destination = stream ?? pino.destination({ fd: 1, sync: true });
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: (error: unknown) => error }, // formatters.log has done it
      formatters: {
        level: (label) => ({ level: label }),
        bindings: (bindings) => sanitize(bindings) as Record<string, unknown>,
        log: (fields) => sanitize(fields) as Record<string, unknown>,
      },
      hooks: {
        logMethod(args, method) {
          Reflect.apply(method, this, safeArguments(args));
        },
      },
    },
    console ? plainLines(destination) : destination,
  );
}

/** What pino interpolates or takes from an error as the message never reaches the formatters, so it is made safe here. */
function safeArguments(args: unknown[]): unknown[] {
  const [first, ...rest] = args;
  if (typeof first === 'string') return [safeText(first), ...rest.map((value) => sanitize(value))];
  const error = first instanceof Error ? first : (first as { err?: unknown } | null | undefined)?.err;
  const fields = first instanceof Error ? { err: first } : first;
  if (rest[0] === undefined && error instanceof Error) return [fields, safeText(error.message)];
  return [fields, ...rest.map((value) => sanitize(value))];
}
