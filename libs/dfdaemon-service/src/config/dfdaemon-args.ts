import { type ConfigRead, defaultDirectories, type LogLevel, parseServiceArgs } from '@d7y/service-kit';
import { VERSION } from '../version.ts';
import { readDfdaemonConfig } from './read-dfdaemon-config.ts';
import type { DfdaemonConfig } from './schema.ts';

export interface DfdaemonProgram {
  readonly name: 'dfdaemon' | 'seed-peer';
  readonly description: string;
  /** The program is a seed whatever its configuration says. */
  readonly isSeed: boolean;
}

/**
 * Command line and configuration file of a daemon, as one configuration.
 * @param argv `process.argv`
 * @throws {ConfigError}
 */
export function parseDfdaemonArgs(
  argv: readonly string[],
  program: DfdaemonProgram,
  env: Readonly<Record<string, string | undefined>>,
): { readonly read: () => ConfigRead<DfdaemonConfig>; readonly logLevel: LogLevel | undefined } {
  const uid = process.getuid?.();
  const args = parseServiceArgs(argv, {
    name: program.name,
    version: VERSION,
    description: program.description,
    defaultConfig: `${defaultDirectories(uid, env).config}/${program.name}.yaml`,
    envPrefix: 'DFDAEMON',
    ownOptions: [{ flags: '--dynconfig <file>', description: 'file that lists schedulers', variable: 'DYNCONFIG' }],
  });
  const dynconfigPath = args.own?.['dynconfig'];
  return {
    logLevel: args.logLevel,
    read: () => {
      const { config, warnings } = readDfdaemonConfig({ path: args.configPath, optional: !args.configGiven, env, uid });
      return {
        warnings,
        config: {
          ...config,
          console: config.console || args.console,
          ...(dynconfigPath === undefined ? {} : { dynconfig: { ...config.dynconfig, path: dynconfigPath } }),
          ...(program.isSeed ? { seedPeer: { ...config.seedPeer, enable: true } } : {}),
        },
      };
    },
  };
}
