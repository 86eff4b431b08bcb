import { Command, Option } from 'commander';
import { LOG_LEVELS } from '../observe/logger.ts';
import type { LogLevel } from '../observe/logger.ts';

export interface ServiceArgs {
  /** The configuration file. */
  readonly configPath: string;
  /** False: nobody named the file, so it may be missing. */
  readonly configGiven: boolean;
  /** Log lines for people instead of JSON. */
  readonly console: boolean;
  /** Undefined: as configured. */
  readonly logLevel: LogLevel | undefined;
  /** Values of the program's own options, by their long name in camelCase; absent where it has none. */
  readonly own?: Readonly<Record<string, string | undefined>>;
}

export interface ServiceProgram {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly defaultConfig: string;
  /** `DFDAEMON` lets DFDAEMON_CONFIG, DFDAEMON_LOG_LEVEL and DFDAEMON_CONSOLE stand in for the options. */
  readonly envPrefix?: string;
  /** What follows the options in the help. */
  readonly helpAfter?: string;
  /** Options beside those every daemon has; each takes a value. */
  readonly ownOptions?: readonly {
    readonly flags: string;
    readonly description: string;
    /** Follows the prefix in the name of the variable that stands in for the option. */
    readonly variable: string;
  }[];
}

/** `warning` and `panic` are what other daemons of this protocol call warn and fatal. */
const LEVEL_NAMES: Readonly<Record<string, LogLevel>> = { warning: 'warn', panic: 'fatal' };

/**
 * The command line every daemon has. Prints help or version and exits 0, or one line about a wrong option and exits 1.
 * @param argv `process.argv`
 */
export function parseServiceArgs(argv: readonly string[], program: ServiceProgram): ServiceArgs {
  const option = (flags: string, description: string, variable: string) => {
    const made = new Option(flags, description);
    return program.envPrefix === undefined ? made : made.env(`${program.envPrefix}_${variable}`);
  };
  const command = new Command(program.name)
    .description(program.description ?? '')
    .version(program.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addOption(option('-c, --config <file>', 'configuration file', 'CONFIG').default(program.defaultConfig))
    .addOption(option('--console', 'log lines for people instead of JSON', 'CONSOLE'))
    .addOption(
      option('-l, --log-level <level>', 'least severe level that is logged', 'LOG_LEVEL')
        .choices([...LOG_LEVELS, ...Object.keys(LEVEL_NAMES)])
        .argParser((value: string) => {
          const level = value.toLowerCase();
          const named = LEVEL_NAMES[level] ?? LOG_LEVELS.find((known) => known === level);
          if (named === undefined)
            command.error(`error: no log level "${value}", choose one of ${LOG_LEVELS.join(', ')}`);
          return named;
        }),
    )
    .allowExcessArguments(false);
  const own = (program.ownOptions ?? []).map(({ flags, description, variable }) =>
    option(flags, description, variable),
  );
  for (const ownOption of own) command.addOption(ownOption);
  if (program.helpAfter !== undefined) command.addHelpText('after', `\n${program.helpAfter}`);
  command.parse(argv);
  const valueOf = (made: Option) => command.getOptionValue(made.attributeName()) as string | undefined;
  const values = command.opts<{ config: string; console?: boolean; logLevel?: LogLevel }>();
  return {
    configPath: values.config,
    configGiven: command.getOptionValueSource('config') !== 'default',
    console: values.console === true,
    logLevel: values.logLevel,
    ...(own.length > 0 && { own: Object.fromEntries(own.map((made) => [made.attributeName(), valueOf(made)])) }),
  };
}
