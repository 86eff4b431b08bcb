import './lean.ts';
import { MANAGER_VERSION, readManagerConfig, resetPassword, startManager } from '@d7y/manager-service';
import { parseServiceArgs, runService, type ServiceArgs } from '@d7y/service-kit';

const RESET_PASSWORD = 'reset-password';
const [node = '', script = '', ...words] = process.argv;
const program = {
  version: MANAGER_VERSION,
  defaultConfig: '/etc/dragonfly/manager.yaml',
  envPrefix: 'MANAGER',
};

const configOf = ({ configPath, configGiven, console, logLevel }: ServiceArgs) =>
  readManagerConfig({ ...{ path: configPath, optional: !configGiven, console, logLevel, env: process.env } });

if (words[0] === RESET_PASSWORD) {
  const args = parseServiceArgs([node, script, ...words.slice(1)], {
    ...program,
    name: `manager ${RESET_PASSWORD}`,
    description:
      'Gives a user another random password and prints it, once. The old one and all sessions of the user end.',
    ownOptions: [{ flags: '-u, --user <name>', description: 'whose (default: "root")', variable: 'USER' }],
  });
  void runService(async (signal) => {
    const password = await resetPassword(configOf(args), { user: args.own?.['user'] ?? 'root', signal });
    process.stdout.write(`${password.reveal()}\n`);
    return { finished: Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() };
  });
} else {
  const args = parseServiceArgs(process.argv, {
    ...program,
    name: 'manager',
    description: 'Keeps clusters, users and jobs, and tells daemons which schedulers are theirs.',
    helpAfter: `Commands:\n  ${RESET_PASSWORD}             print another random password for a user; ${RESET_PASSWORD} --help`,
  });
  void runService((signal) => startManager(configOf(args), { signal }));
}
