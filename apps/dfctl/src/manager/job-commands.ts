import type { CommonOptions } from '@d7y/cli-kit';
import { optionMaker, outputFormatOption } from '@d7y/cli-kit';
import type { Command, Option } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { ManagerOptions } from './manager-client.ts';
import type { PreheatQuestion } from './preheat.ts';

/** What is known of every question to a manager. */
export interface ManagerQuestion extends ManagerOptions {
  readonly format: CommonOptions['format'];
}

export interface JobFilter {
  readonly type?: string | undefined;
  readonly state?: string | undefined;
  readonly limit: number;
}

export interface JobActions {
  preheat(question: PreheatQuestion, options: { readonly wait: boolean }, manager: ManagerQuestion): Promise<void>;
  getJob(id: number, manager: ManagerQuestion): Promise<void>;
  listJobs(filter: JobFilter, manager: ManagerQuestion): Promise<void>;
  cancelJob(id: number, manager: ManagerQuestion): Promise<void>;
  retryJob(id: number, options: { readonly wait: boolean }, manager: ManagerQuestion): Promise<void>;
}

interface ManagerValues extends ManagerOptions {
  readonly format: string;
  readonly output?: string;
}

const option = optionMaker('DFCTL');
const MAX_ROWS = 1_000;

/** Adds what is asked of a manager to the command line. */
export function addJobCommands(program: Command, actions: JobActions): void {
  const command = (parent: Command, usage: string, description: string): Command => {
    const made = parent.command(usage).description(description);
    for (const known of managerOptions()) made.addOption(known);
    return made;
  };
  const preheat = command(program, 'preheat', 'Brings an image or a file to hosts before it is needed.').argument(
    '<content>',
    'image such as ghcr.io/org/app:1.0, URL of a manifest, or with --type file any URL',
  );
  for (const known of preheatOptions()) preheat.addOption(known);
  preheat.action((content: string, values: ManagerValues & Omit<PreheatQuestion, 'content'> & { wait?: boolean }) =>
    actions.preheat({ ...values, content }, { wait: values.wait === true }, question(values)),
  );

  const job = program.command('job').description('Jobs of a manager.');
  command(job, 'get', 'Tells of one job, layer by layer.')
    .argument('<id>', 'of the job', number)
    .action((id: number, values: ManagerValues) => actions.getJob(id, question(values)));
  command(job, 'list', 'Lists jobs, newest first.')
    .addOption(option('--type <type>', 'only of this type, such as preheat'))
    .addOption(option('--state <state>', 'only in this state').choices(['PENDING', 'SUCCESS', 'FAILURE']))
    .addOption(option('--limit <rows>', 'most rows').argParser(rows).default(20))
    .action((values: ManagerValues & JobFilter) => actions.listJobs(values, question(values)));
  command(job, 'cancel', 'Ends a pending job.')
    .argument('<id>', 'of the job', number)
    .action((id: number, values: ManagerValues) => actions.cancelJob(id, question(values)));
  command(job, 'retry', 'Tries again what of a job has failed.')
    .argument('<id>', 'of the job', number)
    .addOption(option('--wait', 'wait until it has ended'))
    .action((id: number, values: ManagerValues & { wait?: boolean }) =>
      actions.retryJob(id, { wait: values.wait === true }, question(values)),
    );
}

function managerOptions(): Option[] {
  return [
    option('--manager <url>', 'REST interface of the manager').argParser(httpUrl).default('http://127.0.0.1:8080'),
    option('--token-file <file>', 'with a personal access token'),
    option('--ca <file>', "of the authority that signed the manager's certificate, in PEM"),
    option('--format <format>', 'of the result and of errors').choices(['text', 'json']).default('text'),
    outputFormatOption(),
  ];
}

function preheatOptions(): Option[] {
  return [
    option('--type <type>', 'what it is').choices(['image', 'file']).default('image'),
    option(
      '--platform <platform>',
      'os/architecture[/variant], more than once for more; those of the hosts unless given',
    ).argParser(list(platform)),
    option('--scope <scope>', 'where to').choices(['single_seed_peer', 'all_seed_peers', 'all_peers']),
    option('--ip <address>', 'only to this host, more than once for more').argParser(list((text) => text)),
    option('--count <hosts>', 'only to so many hosts').argParser(number),
    option('--percentage <percent>', 'only to so many hosts in a hundred').argParser(number),
    option('--cluster <id>', 'only in this cluster, more than once for more').argParser(list(number)),
    option('--tag <tag>', 'part of what makes the task, for files'),
    option('--application <name>', 'part of what makes the task, for files'),
    option('--username <name>', 'at the registry'),
    option('--password-file <file>', 'with the password or token for the registry'),
    option('--job-timeout <duration>', 'for the job as a whole, such as 30m'),
    option('--wait', 'wait until it has ended, and tell how far it is'),
  ];
}

function question({ manager, tokenFile, ca, output, format }: ManagerValues): ManagerQuestion {
  return { manager, tokenFile, ca, format: (output ?? format) === 'json' ? 'json' : 'text' };
}

/** For options that may be given more than once. */
function list<T>(parse: (text: string) => T): (text: string, before: readonly T[] | undefined) => readonly T[] {
  return (text, before = []) => [...before, parse(text)];
}

function number(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('It must be a number from 1.');
  return Number(text);
}

function rows(text: string): number {
  const count = number(text);
  if (count > MAX_ROWS) throw new InvalidArgumentError(`It must be at most ${MAX_ROWS}.`);
  return count;
}

function platform(text: string): string {
  if (!/^[a-z0-9_]+\/[a-z0-9_]+(\/[a-z0-9_.]+)?$/.test(text))
    throw new InvalidArgumentError('It must be os/architecture, such as linux/arm64.');
  return text;
}

function httpUrl(text: string): string {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new InvalidArgumentError('It must be an http or https URL.');
  return text;
}
