import {
  type CommonOptions,
  connectDaemon,
  type Daemon,
  runProgram,
  statusReport,
  type Terminal,
  VERSION,
} from '@d7y/cli-kit';
import { explain } from './explain.ts';
import { explanationText } from './explanation-text.ts';
import { listTasks, removeTask, statTask, tasksText } from './local-tasks.ts';
import { jobActions } from './manager/job-actions.ts';
import { createProgram } from './program.ts';
import { listSwarm, swarmText } from './swarm-listing.ts';

/**
 * The whole program.
 * @param argv without the names of Node and of the program
 * @returns the exit code
 */
export function runDfctl(argv: readonly string[], terminal: Terminal, signal: AbortSignal): Promise<number> {
  const { stdout } = terminal;
  return runProgram(
    (output, chose) => {
      /** Asks the daemon, and prints what it says in the form that was chosen. */
      const print = async <T>(
        { endpoint, format }: CommonOptions,
        ask: (daemon: Daemon) => Promise<T>,
        toText: (answer: T) => string,
      ): Promise<void> => {
        chose(format);
        using daemon = await connectDaemon(endpoint, { signal });
        const answer = await ask(daemon);
        stdout.write(format === 'json' ? `${JSON.stringify(answer)}\n` : toText(answer));
      };
      return createProgram(
        {
          listTasks: (common) => print(common, (daemon) => listTasks(daemon, { signal }), tasksText),
          statTask: (id, common) =>
            print(
              common,
              (daemon) => statTask(daemon, id, { signal }),
              (task) => tasksText([task]),
            ),
          removeTask: (id, common) =>
            print(
              common,
              async (daemon) => {
                await removeTask(daemon, id, { signal });
                return { removed: id };
              },
              () => 'Task Removed!\n',
            ),
          explain: (url, common) =>
            print(common, ({ endpoint }) => explain(endpoint, url, { signal }), explanationText),
          async status(common) {
            chose(common.format);
            stdout.write(await statusReport(common, { signal }));
          },
          async listSwarm(question, format) {
            chose(format);
            const listing = await listSwarm(question, { signal });
            stdout.write(format === 'json' ? `${JSON.stringify(listing)}\n` : swarmText(listing));
          },
          ...jobActions({ stdout, stderr: terminal.stderr, signal, chose }),
          version: () => stdout.write(`dfctl ${VERSION}\n`),
        },
        output,
      );
    },
    argv,
    terminal,
  );
}
