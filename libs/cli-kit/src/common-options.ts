import { LOG_LEVELS, type LogLevel } from '@d7y/service-kit';
import { Option } from 'commander';

/** What all programs that talk to a daemon know. */
export interface CommonOptions {
  /** Path of the daemon's unix socket. */
  readonly endpoint: string;
  readonly logLevel: LogLevel;
  /** Print log lines. */
  readonly console: boolean;
  readonly format: 'text' | 'json';
}

const DEFAULT_ENDPOINT = '/var/run/dragonfly/dfdaemon.sock';

/** Makes options for which an environment variable can stand in: `--log-level` of a program with prefix DFGET is DFGET_LOG_LEVEL too. */
export function optionMaker(environmentPrefix: string): (flags: string, description: string) => Option {
  return (flags, description) => {
    const made = new Option(flags, description);
    const variable = `${environmentPrefix}_${made.name().replaceAll('-', '_').toUpperCase()}`;
    // Commander takes any value of a switch's variable for "on", and DFGET_OVERWRITE=false must not overwrite.
    const isSwitch = !made.required && !made.optional;
    return isSwitch && /^(|0|false|no|off|n|f)$/i.test(process.env[variable] ?? '') ? made : made.env(variable);
  };
}

export function commonOptions(option: (flags: string, description: string) => Option): Option[] {
  return [
    option('-e, --endpoint <socket>', 'unix socket of the daemon').default(DEFAULT_ENDPOINT),
    option('-l, --log-level <level>', 'least severe level that --console prints').choices(LOG_LEVELS).default('info'),
    option('--console', 'print log lines to standard error'),
    option('--format <format>', 'of the result and of errors').choices(['text', 'json']).default('text'),
  ];
}

/** The form that `--output json` asks for on commands whose output is no file. */
export const outputFormatOption = (): Option =>
  new Option('-o, --output <format>', 'the same as --format').choices(['text', 'json']);

/** Options as commander gives them. */
export interface CommonValues extends Omit<CommonOptions, 'console'> {
  readonly console?: boolean;
  readonly output?: string;
}

export function readCommonOptions({ endpoint, logLevel, console = false, format }: CommonValues): CommonOptions {
  return { endpoint, logLevel, console, format };
}
