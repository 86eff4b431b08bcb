import {
  commonOptions,
  type CommonOptions,
  type CommonValues,
  optionMaker,
  outputFormatOption,
  readCommonOptions,
  VERSION,
} from '@d7y/cli-kit';
import { Command, InvalidArgumentError, Option, type OutputConfiguration } from 'commander';
import type { JobActions } from './manager/job-commands.ts';
import { addJobCommands } from './manager/job-commands.ts';
import type { SwarmQuestion, SwarmSubject } from './swarm-listing.ts';

/** What the program does once its arguments are read. */
export interface Actions extends JobActions {
  listTasks(common: CommonOptions): Promise<void>;
  statTask(taskId: string, common: CommonOptions): Promise<void>;
  removeTask(taskId: string, common: CommonOptions): Promise<void>;
  explain(url: string, common: CommonOptions): Promise<void>;
  status(common: CommonOptions): Promise<void>;
  listSwarm(question: SwarmQuestion, format: CommonOptions['format']): Promise<void>;
  version(): void;
}

const option = optionMaker('DFCTL');

/**
 * The command line. Wrong arguments make it throw a CommanderError, once it has said why.
 * @param output where help and complaints go
 */
export function createProgram(actions: Actions, output: OutputConfiguration): Command {
  const program = new Command('dfctl')
    .description('Looks into the dfdaemon of this machine, tidies up its cache, and has a manager preheat images.')
    .version(VERSION, '-V, --version', 'print the version')
    .exitOverride() // as configureOutput, before the subcommands that inherit it
    .configureOutput(output)
    .showHelpAfterError('(dfctl --help tells what there is)');
  const command = (parent: Command, usage: string, description: string): Command => {
    const made = parent.command(usage).description(description);
    for (const known of [...commonOptions(option), outputFormatOption()]) made.addOption(known);
    return made;
  };

  const task = program.command('task').description('Content in the cache of the daemon.');
  command(task, 'ls', 'Lists it.').action((values: CommonValues) => actions.listTasks(common(values)));
  command(task, 'stat', 'Tells of one task.')
    .argument('<id>', 'of the task: 64 hex digits', taskId)
    .action((id: string, values: CommonValues) => actions.statTask(id, common(values)));
  command(task, 'rm', 'Removes a task here, and from the list of its scheduler.')
    .argument('<id>', 'of the task: 64 hex digits', taskId)
    .action((id: string, values: CommonValues) => actions.removeTask(id, common(values)));
  command(
    program,
    'explain',
    'Tells what the daemon does with a URL: which rule, which task, which parents and why not the others, where each byte came from.',
  )
    .argument('<url>', 'as a client of the proxy would ask for it, or a path and query as the log shows them', url)
    .action((text: string, values: CommonValues) => actions.explain(text, common(values)));
  command(
    program,
    'status',
    'Tells how the daemon is: health, schedulers, tasks, cache, bytes by where they came from.',
  ).action((values: CommonValues) => actions.status(common(values)));
  const swarm = program.command('swarm').description('What a scheduler knows.');
  for (const [subject, description] of Object.entries(SWARM_SUBJECTS) as [SwarmSubject, string][]) {
    const listing = swarm.command(subject).description(description);
    for (const known of swarmOptions(subject)) listing.addOption(known);
    listing.action(({ output: alias, format, ...question }: SwarmValues) =>
      actions.listSwarm({ subject, ...question }, (alias ?? format) === 'json' ? 'json' : 'text'),
    );
  }
  addJobCommands(program, actions);
  program
    .command('version')
    .description('Prints the version.')
    .action(() => actions.version());
  return program;
}

interface SwarmValues extends Omit<SwarmQuestion, 'subject'> {
  readonly format: string;
  readonly output?: string;
}

const SWARM_SUBJECTS: Readonly<Record<SwarmSubject, string>> = {
  tasks: 'Lists content that is, or was, distributed.',
  peers: "Lists hosts' parts in tasks.",
  transfers: 'Lists who was told to fetch from whom.',
};

function swarmOptions(subject: SwarmSubject): Option[] {
  const state = option('--state <name>', 'only those in this state, such as Running');
  return [
    option('--scheduler <address>', 'host:port of a scheduler of ours').argParser(address).makeOptionMandatory(),
    option('--ca <file>', 'of the authority that signed the certificate of the scheduler, in PEM; makes it TLS'),
    option('--cert <file>', 'of an operator, in PEM; with --key'),
    option('--key <file>', 'to the certificate'),
    option('--task <prefix>', 'only of tasks whose id begins so'),
    option('--host <id>', 'only of this host'),
    ...(subject === 'transfers' ? [] : [state]),
    option('--limit <rows>', 'most rows').argParser(rows).default(1_000),
    option('--format <format>', 'of the result and of errors').choices(['text', 'json']).default('text'),
    outputFormatOption(),
  ];
}

function address(text: string): SwarmQuestion['scheduler'] {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) throw new InvalidArgumentError('It must be host:port.');
  return { host, port };
}

function rows(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a number from 1 to 999999.');
  return Number(text);
}

function common(values: CommonValues): CommonOptions {
  const read = readCommonOptions(values);
  return values.output === undefined ? read : { ...read, format: values.output === 'json' ? 'json' : 'text' };
}

function taskId(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('It must be 64 hex digits.');
  return text;
}

function url(text: string): string {
  if (!text.startsWith('/') && !/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new InvalidArgumentError('It must be an http or https URL, or a path as a registry mirror gets it.');
  return text;
}
