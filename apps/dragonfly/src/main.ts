import { DFDAEMON_VERSION } from '@d7y/dfdaemon-service';
import { describeStartError, EXIT_CODES, runService } from '@d7y/service-kit';
import { type CommandLine, parseCommandLine, USAGE } from './options.ts';
import { up } from './up.ts';

const print = (text: string): void => void process.stdout.write(text);

function commandLine(): CommandLine {
  try {
    return parseCommandLine(process.argv.slice(2), process.env, process.getuid?.());
  } catch (error) {
    process.stderr.write(`${describeStartError(error)}\n`);
    process.exit(EXIT_CODES.failed);
  }
}

const command = commandLine();
if (command.kind === 'help') print(USAGE);
else if (command.kind === 'version') print(`${DFDAEMON_VERSION}\n`);
else void runService((signal) => up(command.options, { signal, print }));
