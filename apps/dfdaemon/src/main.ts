import './lean.ts';
import { parseDfdaemonArgs, startDfdaemon } from '@d7y/dfdaemon-service';
import { runService } from '@d7y/service-kit';

const program = {
  name: 'dfdaemon',
  description: 'Serves container images and other large files from the machines of a cluster to each other.',
  isSeed: false,
} as const;
const { read, logLevel } = parseDfdaemonArgs(process.argv, program, process.env);

void runService((signal) => {
  const { config, warnings } = read();
  return startDfdaemon(config, { signal, logLevel, warnings });
});
