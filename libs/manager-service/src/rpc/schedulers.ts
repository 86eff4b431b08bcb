import type { ServiceImpl } from '@connectrpc/connect';
import { manager } from '@d7y/api';
import { dfCodeOf, encodedAnswer, type Logger } from '@d7y/service-kit';
import { z } from 'zod';
import { schedulerForItself } from '../search/cluster-messages.ts';
import type { ClusterView } from '../search/cluster-view.ts';
import type { ClusterWatch } from '../search/cluster-watch.ts';
import type { SchedulerLists } from '../search/scheduler-lists.ts';
import type { SchedulerBook } from './books.ts';
import type { CallLimit } from './call-limit.ts';
import { InvalidRegistrationError, UnknownClusterError, UnknownInstanceError } from './errors.ts';

/** As schedulers say it where nothing else is configured. */
export const DEFAULT_KEEP_ALIVE_MS = 5_000;
const DEFAULT_FEATURES = ['schedule', 'preheat'];
const MAX_FEATURES = 16;
const MAX_CONFIG_BYTES = 64 * 1024;
const NANOSECONDS_PER_MS = 1_000_000;
const MIN_KEEP_ALIVE_MS = 100;
const MAX_KEEP_ALIVE_MS = 3_600_000;

export interface SchedulersContext {
  readonly watch: ClusterWatch;
  readonly lists: SchedulerLists;
  readonly schedulers: SchedulerBook;
  readonly limit: CallLimit;
  /** Counts the searches of daemons by the version of their program. */
  readonly onSearch: (caller: { readonly version: string; readonly commit: string }, isAnswered: boolean) => void;
  readonly clock: () => number;
  readonly logger: Logger;
}

type SchedulerCalls = Pick<ServiceImpl<typeof manager.Manager>, 'listSchedulers' | 'getScheduler' | 'updateScheduler'>;

/** What daemons and schedulers ask about schedulers, and how those register. */
export const schedulerCalls = ({
  watch,
  lists,
  schedulers,
  limit,
  onSearch,
  clock,
  logger,
}: SchedulersContext): SchedulerCalls => {
  const tell = (problem: string): void => logger.debug({ problem }, 'a block list is not sent as it was written');
  return {
    // Each daemon, each minute: answered at once, from bytes that are there.
    listSchedulers: encodedAnswer(manager.Manager.method.listSchedulers, (request) => {
      limit.enter();
      const { view } = watch;
      const { schedulerClusterId, version, commit } = request;
      if (schedulerClusterId !== 0n) {
        const answer = lists.ofCluster(view, Number(schedulerClusterId));
        if (answer === undefined) throw new UnknownInstanceError(`there is no scheduler cluster ${schedulerClusterId}`);
        return answer;
      }
      let isAnswered = false;
      try {
        const answer = lists.forSeeker(view, request);
        isAnswered = true;
        return answer;
      } finally {
        onSearch({ version, commit }, isAnswered);
      }
    }),

    async getScheduler({ hostname, ip, schedulerClusterId }) {
      const clusterId = Number(schedulerClusterId);
      const found =
        findScheduler(watch.view, hostname, ip, clusterId) ??
        findScheduler(await watch.refresh(), hostname, ip, clusterId);
      if (found === undefined)
        throw new UnknownInstanceError(`scheduler ${hostname} of cluster ${clusterId} has not registered`);
      return schedulerForItself(found.scheduler, found.cluster, found.view, tell);
    },

    async updateScheduler({ hostname, ip, port, idc, location, features, config, schedulerClusterId }) {
      const clusterId = Number(schedulerClusterId);
      const said = readConfig(config);
      const intervalMs = keepAliveOf(said.manager_keep_alive_interval);
      const values = {
        ...{ hostName: hostname, ip, port, idc: idc ?? '', location: location ?? '', schedulerClusterId: clusterId },
        features: featuresOf(features),
        config: said,
        keepAliveIntervalMs: intervalMs,
      };
      try {
        await schedulers.register(values, new Date(clock()));
      } catch (error) {
        if (dfCodeOf(error) !== 'REFERENCE_NOT_FOUND') throw error;
        throw new UnknownClusterError(`there is no scheduler cluster ${clusterId}`, { cause: error });
      }
      logger.info({ scheduler: hostname, ip, port, clusterId }, 'a scheduler has registered');
      const found = findScheduler(await watch.refresh(), hostname, ip, clusterId);
      if (found === undefined) throw new UnknownInstanceError(`scheduler ${hostname} has been removed meanwhile`);
      return schedulerForItself(found.scheduler, found.cluster, found.view, tell);
    },
  };
};

/** @param ip empty where the caller does not say; then, as with stock managers, the name is enough */
function findScheduler(view: ClusterView, hostname: string, ip: string, clusterId: number) {
  const cluster = view.clusters.get(clusterId);
  const named = cluster?.schedulers.filter((each) => each.hostname === hostname) ?? [];
  const scheduler = ip === '' ? named[0] : named.find((each) => each.ip === ip);
  return cluster === undefined || scheduler === undefined ? undefined : { view, cluster, scheduler };
}

function featuresOf(features: readonly string[]): string[] {
  if (features.length > MAX_FEATURES) throw new InvalidRegistrationError(`more than ${MAX_FEATURES} features`);
  return features.length === 0 ? DEFAULT_FEATURES : [...features];
}

const configSchema = z.looseObject({ manager_keep_alive_interval: z.number().optional() }).nullable();

function readConfig(config: Uint8Array): { manager_keep_alive_interval?: number } {
  if (config.length === 0) return {};
  if (config.length > MAX_CONFIG_BYTES)
    throw new InvalidRegistrationError(`config: more than ${MAX_CONFIG_BYTES} bytes`);
  try {
    const { manager_keep_alive_interval: interval } =
      configSchema.parse(JSON.parse(Buffer.from(config).toString())) ?? {};
    return interval === undefined ? {} : { manager_keep_alive_interval: interval };
  } catch (error) {
    throw new InvalidRegistrationError('config: expected a JSON object', { cause: error });
  }
}

function keepAliveOf(nanoseconds: number | undefined): number {
  if (nanoseconds === undefined || nanoseconds <= 0) return DEFAULT_KEEP_ALIVE_MS;
  return Math.min(Math.max(Math.round(nanoseconds / NANOSECONDS_PER_MS), MIN_KEEP_ALIVE_MS), MAX_KEEP_ALIVE_MS);
}
