import { pino } from 'pino';
import type { Bindings, ChildLoggerOptions, DestinationStream, Logger as PinoLogger } from 'pino';
import { isError } from './is-error.ts';
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
  const logger = pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: (error: unknown) => error }, // formatters.log has done it
      formatters: {
        level: (label) => ({ level: label }),
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
  // Pino formats the bindings of the root only. Children inherit from their parent, so this reaches all generations.
  const plainChild = Reflect.get(logger, 'child') as (...args: unknown[]) => unknown;
  logger.child = function <Levels extends string = never>(
    this: Logger,
    bindings: Bindings,
    options?: ChildLoggerOptions<Levels>,
  ) {
    return Reflect.apply(plainChild, this, [sanitize(bindings), options]) as PinoLogger<Levels>;
  };
  return logger;
}

/** What pino interpolates or takes from an error as the message never reaches the formatters, so it is made safe here. */
function safeArguments(args: unknown[]): unknown[] {
  const [first, ...rest] = args;
  if (typeof first === 'string') return [safeText(first), ...rest.map((value) => sanitize(value))];
  const error = isError(first) ? first : (first as { err?: unknown } | null | undefined)?.err;
  const fields = isError(first) ? { err: first } : first;
  if (rest[0] === undefined && isError(error)) return [fields, safeText(error.message)];
  return [fields, ...rest.map((value) => sanitize(value))];
}
