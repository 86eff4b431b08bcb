import './lean.ts';
import { readSchedulerConfig, SCHEDULER_VERSION, startScheduler } from '@d7y/scheduler-service';
import { parseServiceArgs, runService } from '@d7y/service-kit';

const args = parseServiceArgs(process.argv, {
  name: 'scheduler',
  version: SCHEDULER_VERSION,
  description: 'Tells the daemons of a cluster from whom to fetch.',
  defaultConfig: '/etc/dragonfly/scheduler.yaml',
  envPrefix: 'SCHEDULER',
  ownOptions: [
    {
      flags: '--dynconfig <file>',
      description: 'limits and priorities, where there is no manager',
      variable: 'DYNCONFIG',
    },
  ],
});

void runService((signal) => {
  const { configPath, configGiven, console, logLevel, own } = args;
  const config = readSchedulerConfig({
    ...{ path: configPath, optional: !configGiven, console, logLevel, env: process.env, uid: process.getuid?.() },
    dynconfigPath: own?.['dynconfig'] ?? '/etc/dragonfly/dynconfig.yaml',
  });
  return startScheduler(config, { signal });
});
