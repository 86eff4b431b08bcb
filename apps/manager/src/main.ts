import { MANAGER_VERSION, readManagerConfig, startManager } from '@d7y/manager-service';
import { becomeLean, parseServiceArgs, runService } from '@d7y/service-kit';

const args = parseServiceArgs(process.argv, {
  name: 'manager',
  version: MANAGER_VERSION,
  description: 'Keeps clusters, users and jobs, and tells daemons which schedulers are theirs.',
  defaultConfig: '/etc/dragonfly/manager.yaml',
  envPrefix: 'MANAGER',
});

becomeLean({ semiSpaceMib: 8, optimizeForSize: false });
void runService((signal) => {
  const { configPath, configGiven, console, logLevel } = args;
  const config = readManagerConfig({
    ...{ path: configPath, optional: !configGiven, console, logLevel, env: process.env },
  });
  return startManager(config, { signal });
});
