import './lean.ts';
import { parseDfdaemonArgs, startDfdaemon } from '@d7y/dfdaemon-service';
import { runService } from '@d7y/service-kit';

const program = {
  name: 'seed-peer',
  description: 'A daemon that fetches from the origin first, for all others of its cluster.',
  isSeed: true,
} as const;
const { read, logLevel } = parseDfdaemonArgs(process.argv, program, process.env);

void runService((signal) => {
  const { config, warnings } = read();
  return startDfdaemon(config, { signal, logLevel, warnings });
});
