import { PREHEAT_WORKER_VERSION, readPreheatWorkerConfig, startPreheatWorker } from '@d7y/preheat-service';
import { parseServiceArgs, runService } from '@d7y/service-kit';

const args = parseServiceArgs(process.argv, {
  name: 'preheat-worker',
  version: PREHEAT_WORKER_VERSION,
  description: 'Brings images and files to the daemons of clusters before they are asked for.',
  defaultConfig: '/etc/dragonfly/preheat-worker.yaml',
  envPrefix: 'PREHEAT_WORKER',
});

void runService(
  (signal) => {
    const { configPath, configGiven, console, logLevel } = args;
    const config = readPreheatWorkerConfig({
      path: configPath,
      optional: !configGiven,
      console,
      logLevel,
      env: process.env,
    });
    return startPreheatWorker(config, { signal });
  },
  { graceMs: 120_000 },
);
