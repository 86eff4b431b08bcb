import { readConfig, type LogLevel } from '@d7y/service-kit';
import { workerSchema, type WorkerConfig } from './schema.ts';

/** Where a configuration comes from. */
export interface WorkerConfigSource {
  readonly path?: string | undefined;
  /** The YAML itself, instead of a file. */
  readonly text?: string | undefined;
  /** The file may be missing. */
  readonly optional?: boolean;
  readonly console?: boolean;
  readonly logLevel?: LogLevel | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads and checks the configuration. @throws {ConfigError} */
export function readPreheatWorkerConfig({ console, logLevel, ...file }: WorkerConfigSource): WorkerConfig {
  const { config, warnings } = readConfig({ ...file, schema: workerSchema });
  return {
    ...config,
    console: config.console || console === true,
    logLevel: logLevel ?? config.logLevel,
    warnings: [
      ...warnings,
      ...(config.secrets.key === undefined ? ['secrets.key: not set, so jobs with credentials fail'] : []),
    ],
  };
}
