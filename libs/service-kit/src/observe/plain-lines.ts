import type { DestinationStream } from 'pino';

/** Turns pino's JSON lines into `time LEVEL name: message key=value …` for a terminal. */
export function plainLines(destination: DestinationStream): DestinationStream {
  return {
    write(line: string) {
      const { time, level, name, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
      const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${asText(value)}`);
      const { message, stack } = (err ?? {}) as { message?: unknown; stack?: unknown };
      const trouble = message === undefined ? '' : `\n    ${asText(stack ?? message).replace(/\n\s*/g, '\n    ')}`;
      destination.write(
        `${asText(time)} ${asText(level).toUpperCase().padEnd(5)} ${asText(name)}: ${asText(msg ?? '')}${pairs.join('')}${trouble}\n`,
      );
    },
  };
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
