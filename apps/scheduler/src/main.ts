import { readSchedulerConfig, SCHEDULER_VERSION, startScheduler } from '@d7y/scheduler-service';
import { parseServiceArgs, runService } from '@d7y/service-kit';

const args = parseServiceArgs(process.argv, {
  name: 'scheduler',
  version: SCHEDULER_VERSION,
  description: 'Tells the daemons of a cluster from whom to fetch.',
  defaultConfig: '/etc/dragonfly/scheduler.yaml',
  envPrefix: 'SCHEDULER',
});

void runService((signal) => {
  const { configPath, configGiven, console, logLevel } = args;
  const config = readSchedulerConfig({ path: configPath, optional: !configGiven, console, logLevel, env: process.env });
  return startScheduler(config, { signal });
});
