import {
  commonOptions,
  type CommonOptions,
  type CommonValues,
  optionMaker,
  outputFormatOption,
  readCommonOptions,
  VERSION,
} from '@d7y/cli-kit';
import { Command, InvalidArgumentError, type OutputConfiguration } from 'commander';

/** What the program does once its arguments are read. */
export interface Actions {
  listTasks(common: CommonOptions): Promise<void>;
  statTask(taskId: string, common: CommonOptions): Promise<void>;
  removeTask(taskId: string, common: CommonOptions): Promise<void>;
  explain(url: string, common: CommonOptions): Promise<void>;
  status(common: CommonOptions): Promise<void>;
  version(): void;
}

const option = optionMaker('DFCTL');

/**
 * The command line. Wrong arguments make it throw a CommanderError, once it has said why.
 * @param output where help and complaints go
 */
export function createProgram(actions: Actions, output: OutputConfiguration): Command {
  const program = new Command('dfctl')
    .description('Looks into the dfdaemon of this machine, and tidies up its cache.')
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
  program
    .command('version')
    .description('Prints the version.')
    .action(() => actions.version());
  return program;
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
