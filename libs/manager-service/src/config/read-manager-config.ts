import { isDeepStrictEqual } from 'node:util';
import { type Stores, storesOf } from '@d7y/preheat-queue';
import type { ListenAddress, LogLevel } from '@d7y/service-kit';
import { ConfigError, firstAddress, isLoopbackAddress, readConfig, Secret, secretOrFile } from '@d7y/service-kit';
import type { ManagerFile } from './schema.ts';
import { ALIASES, KNOWN_ELSEWHERE, managerSchema } from './schema.ts';

/** Published with the installation charts of others, so everybody can sign with it. */
const PUBLISHED_KEYS: ReadonlySet<string> = new Set(['ZHJhZ29uZmx5Cg==', 'ZHJhZ29uZmx5', 'dragonfly']);
const MIN_KEY_LENGTH = 16;
const SEALING_KEY_BYTES = 32;
/** Keys of preheats that a manager takes, since published ones have them or one text may serve both, and workers alone obey. */
const OF_WORKERS = ['tls', 'defaultPlatforms', 'maxLayers', 'enableTaskIDBasedBlobDigest'] as const;
const ENV_PREFIX = 'DRAGONFLY_MANAGER';
/** Variables that the program reads besides those that stand for keys. */
const ROOT_PASSWORD = 'DRAGONFLY_INITIAL_ROOT_PASSWORD';
const FIRST_TOKEN = 'DRAGONFLY_PAT';

type Postgres = Omit<ManagerFile['database']['postgres'], 'passwordFile'>;
type Jwt = Omit<ManagerFile['auth']['jwt'], 'key' | 'keyFile'> & { readonly key: Secret };

/** Everything a manager needs to know, with all defaults filled in; times in milliseconds. */
export interface ManagerConfig extends Omit<
  ManagerFile,
  'verbose' | 'server' | 'auth' | 'database' | 'secrets' | 'metrics' | 'bootstrap'
> {
  readonly server: Omit<ManagerFile['server'], 'grpc'> & {
    readonly grpc: Omit<ManagerFile['server']['grpc'], 'port'> & {
      readonly advertiseIP: string;
      /** Of this machine; every address unless given. */
      readonly listen: ListenAddress;
    };
  };
  readonly auth: Omit<ManagerFile['auth'], 'jwt'> & { readonly jwt: Jwt };
  readonly database: Stores<Postgres>;
  /** Seals credentials of jobs; 32 bytes. Undefined: jobs with credentials are refused. */
  readonly sealingKey: Secret | undefined;
  readonly metrics: { readonly listen: ListenAddress | undefined };
  readonly bootstrap: ManagerFile['bootstrap'] & {
    /** Of the user root, when it is made; random unless given. */
    readonly rootPassword: Secret | undefined;
    /** A personal access token of root that is made at the start. */
    readonly token: Secret | undefined;
  };
  /** One line each, for the log once there is one. */
  readonly warnings: readonly string[];
}

/** Where a configuration comes from. */
export interface ManagerConfigSource {
  readonly path?: string | undefined;
  /** The YAML itself, instead of a file. */
  readonly text?: string | undefined;
  /** The file may be missing. */
  readonly optional?: boolean;
  /** Override what the file says. */
  readonly console?: boolean;
  readonly logLevel?: LogLevel | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads, checks and completes the configuration; files with secrets are read, too. @throws {ConfigError} */
export function readManagerConfig(source: ManagerConfigSource): ManagerConfig {
  const { console, logLevel: level, env, ...file } = source;
  const { config, warnings } = readConfig({
    ...{ ...file, env, envPrefix: ENV_PREFIX },
    ...{ schema: managerSchema, aliases: ALIASES, knownElsewhere: KNOWN_ELSEWHERE },
  });
  const { server, metrics, auth, database, secrets, bootstrap, verbose, ...rest } = config;
  const { port, ...grpc } = server.grpc;
  const { enableIPv6 } = config.network;
  const key = secretOrFile('auth.jwt.key', auth.jwt.key, auth.jwt.keyFile);
  const sealing = secretOrFile('secrets.key', secrets.key, secrets.keyFile);
  return {
    ...rest,
    console: config.console || console === true,
    server: {
      ...server,
      logLevel: level ?? (verbose ? 'debug' : server.logLevel),
      grpc: {
        ...grpc,
        advertiseIP: grpc.advertiseIP ?? firstAddress(enableIPv6 ? 'IPv6' : 'IPv4'),
        listen: { host: grpc.listenIP ?? (enableIPv6 ? '::' : '0.0.0.0'), port: port.start },
      },
    },
    auth: { ...auth, jwt: { ...withoutKeys(auth.jwt), key: signingKey(key, auth.allowInsecureDefaults) } },
    database: storesOf(database),
    sealingKey: sealing && sealingKey(sealing),
    metrics: { listen: metrics.enable ? metrics.addr : undefined },
    bootstrap: { ...bootstrap, rootPassword: fromEnv(env, ROOT_PASSWORD), token: fromEnv(env, FIRST_TOKEN) },
    warnings: [...warnings, ...ownWarnings(config, sealing)],
  };
}

const withoutKeys = ({ key: _key, keyFile: _keyFile, ...rest }: ManagerFile['auth']['jwt']) => rest;

function fromEnv(env: ManagerConfigSource['env'], name: string): Secret | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : new Secret(value);
}

function signingKey(key: Secret | undefined, allowInsecure: boolean): Secret {
  if (key === undefined)
    throw new ConfigError(['auth.jwt.key: missing, sessions cannot be signed; make one with: openssl rand -base64 32']);
  if (allowInsecure) return key;
  if (PUBLISHED_KEYS.has(key.reveal()))
    throw new ConfigError([
      'auth.jwt.key: this one is published, so everybody could sign in; make another one with: openssl rand -base64 32',
    ]);
  if (key.reveal().length < MIN_KEY_LENGTH)
    throw new ConfigError([
      `auth.jwt.key: shorter than ${MIN_KEY_LENGTH} characters; make one with: openssl rand -base64 32`,
    ]);
  return key;
}

function sealingKey(key: Secret): Secret {
  const text = key.reveal();
  const bytes = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  if (bytes.length !== SEALING_KEY_BYTES)
    throw new ConfigError(['secrets.key: expected 32 bytes in base64 or hex; make them with: openssl rand -base64 32']);
  return key;
}

function ownWarnings({ server, database, auth, job }: ManagerFile, sealing: Secret | undefined): string[] {
  const warnings: string[] = [];
  if (database.type !== 'postgres')
    warnings.push(`database.type: ${database.type} is not available, PostgreSQL is used: see database.postgres`);
  if (sealing === undefined) warnings.push('secrets.key: not set, so jobs that bring credentials are refused');
  if (server.grpc.tls === undefined && !isLoopbackAddress(server.grpc.listenIP))
    warnings.push(
      'server.grpc.tls: not set, so whoever can reach the port may register as a scheduler: trust your network',
    );
  if (auth.openRoutes.length > 0)
    warnings.push(`auth.openRoutes: anybody may call ${auth.openRoutes.join(', ')} without credentials`);
  if (auth.signup === 'open') warnings.push('auth.signup: anybody may make a user, who may read most of what there is');
  if (auth.allowInsecureDefaults) warnings.push('auth.allowInsecureDefaults: sessions may be signed by others');
  const unset = managerSchema.parse({}).job.preheat;
  for (const key of OF_WORKERS)
    if (!isDeepStrictEqual(job.preheat[key], unset[key]))
      warnings.push(`job.preheat.${key}: has no effect here; workers obey preheat.${key} of their own configuration`);
  if (job.preheat.registryTimeout !== unset.registryTimeout)
    warnings.push('job.preheat.registryTimeout: has no effect; workers bound each answer of a registry themselves');
  return warnings;
}
