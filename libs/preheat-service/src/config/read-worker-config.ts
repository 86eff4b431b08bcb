import { storesOf } from '@d7y/preheat-queue';
import { type LogLevel, readConfig, secretOrFile } from '@d7y/service-kit';
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

/** Reads and checks the configuration; files with secrets are read, too. @throws {ConfigError} */
export function readPreheatWorkerConfig({ console, logLevel, ...file }: WorkerConfigSource): WorkerConfig {
  const { config, warnings } = readConfig({ ...file, schema: workerSchema });
  const key = secretOrFile('secrets.key', config.secrets.key, config.secrets.keyFile);
  return {
    ...config,
    database: storesOf(config.database),
    secrets: { key },
    console: config.console || console === true,
    logLevel: logLevel ?? config.logLevel,
    warnings: [
      ...warnings,
      ...(key === undefined ? ['secrets.key: not set, so jobs with credentials fail'] : []),
      ...(config.preheat.tls.insecureSkipVerify
        ? ['preheat.tls.insecureSkipVerify: registries are believed without proof']
        : []),
    ],
  };
}
