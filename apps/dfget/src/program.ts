import { commonOptions, type CommonOptions, type CommonValues, optionMaker, outputFormatOption } from '@d7y/cli-kit';
import { readCommonOptions, VERSION } from '@d7y/cli-kit';
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { DEFAULT_FILTERED_QUERY_PARAMS, MAX_PIECE_LENGTH, MIN_PIECE_LENGTH, parseDigest } from '@d7y/piece';
import { certificatesIn, describeSystemError, parseByteSize, parseDurationMs, Secret } from '@d7y/service-kit';
import { Command, InvalidArgumentError, type Option, type OutputConfiguration } from 'commander';
import type { DownloadOptions } from './download-options.ts';

const option = optionMaker('DFGET');

/** What the program does once its arguments are read. */
export interface Actions {
  download(options: DownloadOptions, common: CommonOptions & { readonly progress: boolean }): Promise<void>;
  status(common: CommonOptions): Promise<void>;
  /** Something is not as it may have been meant. */
  warn(line: string): void;
  version(): void;
}

/**
 * The command line. Wrong arguments make it throw a CommanderError, once it has said why.
 * @param output where help and complaints go
 */
export function createProgram(actions: Actions, output: OutputConfiguration): Command {
  const program = new Command('dfget')
    .description('Downloads a file through the dfdaemon of this machine.')
    .usage('[options] <url> -O <file>')
    .argument('[url]', 'what to download')
    .version(VERSION, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .exitOverride() // as configureOutput, before the subcommands that inherit it
    .configureOutput(output)
    .showHelpAfterError('(dfget --help tells what there is)');
  for (const known of [...commonOptions(option), ...downloadOptions()]) program.addOption(known);
  program.action(async (url: string | undefined, values: Values) => {
    const options = readDownload(url, values, (message) => program.error(`error: ${message}`));
    for (const flag of ignoredFlags(program)) actions.warn(`${flag} has no effect on the download of a file`);
    await actions.download(options, { ...readCommonOptions(values), progress: values.progress });
  });

  const status = program
    .command('status')
    .description('Tells how the daemon is: health, schedulers, tasks, cache, bytes by where they came from.');
  for (const known of commonOptions(option)) status.addOption(known);
  status.addOption(outputFormatOption()).action(async (values: Values) => {
    const common = readCommonOptions({ ...values, ...givenBefore(program, status) });
    await actions.status({ ...common, format: values.output === 'json' ? 'json' : common.format });
  });
  program
    .command('version')
    .description('Prints the version.')
    .action(() => actions.version());
  return program;
}

/** Options as commander gives them. */
interface Values extends CommonValues {
  readonly recursive?: boolean;
  readonly overwrite?: boolean;
  readonly forceHardLink?: boolean;
  readonly timeout: number;
  readonly digest?: string;
  readonly priority: number;
  readonly pieceLength?: number;
  readonly application: string;
  readonly tag: string;
  readonly header?: readonly Secret[];
  readonly ca?: readonly Uint8Array[];
  readonly filteredQueryParam?: readonly string[];
  readonly disableBackToSource?: boolean;
  readonly contentForCalculatingTaskId?: string;
  readonly storageRegion?: string;
  readonly storageEndpoint?: string;
  readonly storageAccessKeyId?: Secret;
  readonly storageAccessKeySecret?: Secret;
  readonly storageSecurityToken?: Secret;
  readonly storageSessionToken?: Secret;
  readonly storageCredentialPath?: string;
  readonly storageInsecureSkipVerify?: boolean;
  readonly storagePredefinedAcl: string;
  readonly hdfsDelegationToken?: Secret;
  readonly hfRevision: string;
  readonly hfToken?: Secret;
  readonly hfBaseUrl?: string;
  readonly msRevision: string;
  readonly msToken?: Secret;
  readonly msBaseUrl?: string;
  /** False after --no-progress. */
  readonly progress: boolean;
}

function downloadOptions(): Option[] {
  return [
    option('-O, --output <file>', 'file to write'),
    option('-r, --recursive', 'download the directory of that name').default(false),
    option('--transfer-from-dfdaemon', 'what dfget always does: write the file itself').default(false),
    option('--overwrite', 'replace the output file if there is one').conflicts('forceHardLink'),
    option('--force-hard-link', 'have the daemon hard-link the output to its cache, or fail'),
    option('--timeout <duration>', 'give up after this long').argParser(duration).default(7_200_000, '2h'),
    option('--digest <digest>', 'what the content must hash to: sha256:…, sha512:…, crc32:…').argParser(digest),
    option('-p, --priority <level>', 'of the download, 0 to 6').argParser(priority).default(6),
    option('--piece-length <size>', 'of the pieces, 4MiB to 64MiB; makes a task of its own').argParser(pieceLength),
    option('--application <name>', 'makes a task of its own').default(''),
    option('--tag <tag>', 'makes a task of its own').default(''),
    option('-H, --header <header>', '"Name: value" for the origin; may be repeated').argParser(repeatedSecret),
    option('--ca <file>', "of authorities to trust for the origin's certificate, in PEM").argParser(certificates),
    option(
      '--filtered-query-param <name>',
      'query parameter that does not name other content; may be repeated (default: those that sign URLs)',
    ).argParser(repeated),
    option('-I, --include-files <path>', 'only these of a directory; may be repeated').argParser(repeated),
    option('--disable-back-to-source', 'rather fail than have the daemon ask the origin').default(false),
    option(
      '--content-for-calculating-task-id <text>',
      'text that names the content, in place of URL, tag and the rest',
    ),
    option('--storage-region <region>', 'of the object store'),
    option('--storage-endpoint <url>', 'of the object store'),
    option('--storage-access-key-id <id>', 'for the object store').argParser(secret),
    option('--storage-access-key-secret <secret>', 'for the object store').argParser(secret),
    option('--storage-security-token <token>', 'for the object store').argParser(secret),
    option('--storage-session-token <token>', 'for the object store').argParser(secret),
    option('--storage-credential-path <file>', 'for the object store, on the machine of the daemon'),
    option('--storage-insecure-skip-verify', 'trust any certificate of the object store').default(false),
    option('--storage-predefined-acl <acl>', 'of objects in Google Cloud Storage').default('publicRead'),
    option('--hdfs-delegation-token <token>', 'for a Hadoop file system').argParser(secret),
    option('--hf-revision <revision>', 'on Hugging Face').default('main'),
    option('--hf-token <token>', 'for Hugging Face').argParser(secret),
    option('--hf-base-url <url>', 'of Hugging Face'),
    option('--ms-revision <revision>', 'on ModelScope').default('master'),
    option('--ms-token <token>', 'for ModelScope').argParser(secret),
    option('--ms-base-url <url>', 'of ModelScope'),
    option('--csg-revision <revision>', 'on OpenCSG').default('main'),
    option('--csg-token <token>', 'for OpenCSG').argParser(secret),
    option('--csg-base-url <url>', 'of OpenCSG'),
    option('--max-files <count>', 'refuse directories with more files').argParser(count).default(100),
    option('--max-concurrent-requests <count>', 'files of a directory at the same time').argParser(count).default(5),
    option('--no-progress', 'show no progress bar'),
  ];
}

/** Common options that stand before the subcommand's name, unless they stand after it too. */
function givenBefore(program: Command, subcommand: Command): Partial<Values> {
  const names = commonOptions(option).map((made) => made.attributeName());
  const given = names.filter(
    (name) => program.getOptionValueSource(name) === 'cli' && subcommand.getOptionValueSource(name) !== 'cli',
  );
  return Object.fromEntries(given.map((name) => [name, program.getOptionValue(name) as unknown]));
}

/** Flags that were given although nothing can be done about them. */
function ignoredFlags(program: Command): string[] {
  const names = ['csgRevision', 'csgToken', 'csgBaseUrl', 'includeFiles', 'maxFiles', 'maxConcurrentRequests'];
  return program.options
    .filter((made) => names.includes(made.attributeName()))
    .filter((made) => !['default', undefined].includes(program.getOptionValueSource(made.attributeName())))
    .map((made) => made.long ?? made.flags);
}

function readDownload(url: string | undefined, values: Values, fail: (message: string) => never): DownloadOptions {
  if (url === undefined) fail("missing required argument 'url'");
  if (values.output === undefined) fail("required option '-O, --output <file>' not specified");
  if (!URL.canParse(url)) fail('the URL is malformed');
  const parsed = new URL(url);
  if (values.recursive === true && !parsed.pathname.endsWith('/')) parsed.pathname += '/';
  const { storageRegion, storageEndpoint, storageCredentialPath } = values;
  return {
    url: parsed,
    output: path.resolve(values.output),
    overwrite: values.overwrite ?? false,
    forceHardLink: values.forceHardLink ?? false,
    timeoutMs: values.timeout,
    digest: values.digest,
    priority: values.priority,
    pieceLength: values.pieceLength,
    application: values.application,
    tag: values.tag,
    headers: readHeaders(values.header ?? [], fail),
    certificateChain: values.ca ?? [],
    filteredQueryParams: values.filteredQueryParam ?? [...new Set(DEFAULT_FILTERED_QUERY_PARAMS)],
    disableBackToSource: values.disableBackToSource ?? false,
    contentForCalculatingTaskId: values.contentForCalculatingTaskId,
    storage: {
      region: storageRegion,
      endpoint: storageEndpoint,
      accessKeyId: values.storageAccessKeyId,
      accessKeySecret: values.storageAccessKeySecret,
      securityToken: values.storageSecurityToken,
      sessionToken: values.storageSessionToken,
      credentialPath: storageCredentialPath,
      insecureSkipVerify: values.storageInsecureSkipVerify ?? false,
      predefinedAcl: values.storagePredefinedAcl,
    },
    hdfsDelegationToken: values.hdfsDelegationToken,
    huggingFace: { revision: values.hfRevision, token: values.hfToken, baseUrl: values.hfBaseUrl },
    modelScope: { revision: values.msRevision, token: values.msToken, baseUrl: values.msBaseUrl },
  };
}

function readHeaders(headers: readonly Secret[], fail: (message: string) => never): Map<string, Secret> {
  const read = new Map<string, Secret>();
  for (const [index, header] of headers.entries()) {
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n\0]*)$/.exec(header.reveal()) ?? [];
    // Its text stays unsaid: it may hold a secret.
    if (name === undefined || value === undefined) fail(`header number ${index + 1} is not of the form "Name: value"`);
    read.set(name.toLowerCase(), new Secret(value.trimEnd()));
  }
  return read;
}

function duration(text: string): number {
  const milliseconds = parseDurationMs(text);
  if (milliseconds === undefined || milliseconds < 1)
    throw new InvalidArgumentError('It must be a time such as 90s or 2h.');
  return milliseconds;
}

function digest(text: string): string {
  try {
    if (['sha256', 'sha512', 'crc32'].includes(parseDigest(text).algorithm)) return text;
  } catch {
    // said below
  }
  throw new InvalidArgumentError(
    'It must be sha256: and 64 hex digits, sha512: and 128, or crc32: and a decimal number.',
  );
}

function priority(text: string): number {
  if (!/^[0-6]$/.test(text)) throw new InvalidArgumentError('It must be a number from 0 to 6.');
  return Number(text);
}

function pieceLength(text: string): number {
  const bytes = parseByteSize(text) ?? 0;
  if (bytes < MIN_PIECE_LENGTH || bytes > MAX_PIECE_LENGTH)
    throw new InvalidArgumentError('It must be from 4MiB to 64MiB.');
  return bytes;
}

function certificates(file: string): readonly Uint8Array[] {
  try {
    return certificatesIn(readFileSync(file)).map(({ raw }) => new Uint8Array(raw));
  } catch (error) {
    const reason = describeSystemError(error);
    throw new InvalidArgumentError(reason ?? 'It must be a file with certificates in PEM.');
  }
}

function count(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a positive number.');
  return Number(text);
}

function secret(text: string): Secret {
  return new Secret(text);
}

function repeated(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

function repeatedSecret(text: string, before: readonly Secret[] | undefined): readonly Secret[] {
  return [...(before ?? []), new Secret(text)];
}
