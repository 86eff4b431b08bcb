import { join } from 'node:path';
import { createSchedulerManagerClient, type GrpcConnectionOptions } from '@d7y/peer-protocol';
import { LastGood, type Logger } from '@d7y/service-kit';
import type { Clock } from '../clock.ts';
import type { SchedulerConfig } from '../config/read-scheduler-config.ts';
import { type ClusterSettings, clusterSettingsSchema, NO_SETTINGS, settingsOf } from './cluster-settings.ts';
import { Dynconfig } from './dynconfig.ts';
import { readLocalSettings } from './local-settings.ts';
import { ManagerPresence } from './manager-presence.ts';

/** How long the start waits for a manager, or a file system, before it goes on with what is at hand. */
const FIRST_ANSWER_MS = 3_000;

export interface CreateDynconfigOptions {
  readonly config: SchedulerConfig;
  /** To the manager. */
  readonly connection: GrpcConnectionOptions;
  readonly onChange: (settings: ClusterSettings) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stack: AsyncDisposableStack;
  readonly signal: AbortSignal;
}

/** Settings of the cluster, and what goes on about them in the background. */
export interface RunningDynconfig {
  readonly dynconfig: Dynconfig;
  /** To be called once the service listens: from now on the manager hands it out, and settings are refreshed. */
  start(): void;
}

/**
 * The settings of the cluster, from a manager where one is configured, else from the local file, else none; refreshed until the signal ends it.
 * Nothing of it can fail a start: a manager that is away is found later.
 */
export async function createDynconfig(options: CreateDynconfigOptions): Promise<RunningDynconfig> {
  const { config, onChange, clock, logger, signal } = options;
  const refreshIntervalMs = config.dynConfig.refreshInterval;
  const common = { onChange, clock, logger, refreshIntervalMs };
  const { manager, dynconfigPath } = config;
  if (manager !== undefined) {
    const { client, presence } = presenceOf(options, manager);
    const lastGood = await LastGood.open({
      path: join(config.server.dataDir, 'dynconfig.json'),
      schema: clusterSettingsSchema,
      logger,
    });
    const ask = async (ends: { signal: AbortSignal }) => settingsOf(...(await presence.ask(ends)));
    const dynconfig = new Dynconfig({ ...common, ask, lastGood, source: `manager ${client.address}` });
    await dynconfig.refresh({ signal: AbortSignal.any([signal, AbortSignal.timeout(FIRST_ANSWER_MS)]) });
    if (dynconfig.ageMs === undefined)
      logger.warn({ manager: client.address }, 'started without the manager; it is asked again in the background');
    return { dynconfig, start: () => void Promise.all([presence.run({ signal }), dynconfig.run({ signal })]) };
  }
  if (dynconfigPath === undefined) {
    const ask = () => Promise.resolve(NO_SETTINGS);
    return { dynconfig: new Dynconfig({ ...common, ask, source: 'nothing' }), start: () => undefined };
  }
  const dynconfig = new Dynconfig({ ...common, ask: () => readLocalSettings(dynconfigPath), source: dynconfigPath });
  await dynconfig.refresh({ signal });
  return { dynconfig, start: () => void dynconfig.run({ signal }) };
}

function presenceOf(
  { config, connection, logger, stack }: CreateDynconfigOptions,
  manager: NonNullable<SchedulerConfig['manager']>,
) {
  const { addr, schedulerClusterID, keepAlive } = manager;
  const client = stack.use(createSchedulerManagerClient(addr, connection));
  const { server, host } = config;
  const presence = new ManagerPresence({
    client,
    registration: {
      hostname: server.host,
      ip: server.advertiseIP,
      port: server.advertisePort ?? server.port,
      clusterId: schedulerClusterID,
      idc: host.idc,
      location: host.location,
      // Preheats come by gRPC; the manager's job queue is none of ours.
      features: ['schedule'],
      keepAliveIntervalMs: keepAlive.interval,
    },
    logger,
  });
  return { client, presence };
}
