import type { ServiceImpl } from '@connectrpc/connect';
import type { scheduler } from '@d7y/api';
import type { Access } from '../access/access.ts';
import type { MessageWriter } from '../messages/message-writer.ts';
import type { OperationCounter, SchedulerMetrics } from '../metrics.ts';
import { type Connect, listFiles } from '../preheat/daemon-calls.ts';
import type { OriginReader } from '../preheat/origin-reader.ts';
import type { HeldFile, Preheater } from '../preheat/preheater.ts';
import type { OriginAccess } from '../preheat/preheat-request.ts';
import {
  PreheatRequestError,
  taskIdsOf,
  toLimits,
  toOriginAccess,
  toTargetChoice,
  toTaskIdentity,
} from '../preheat/preheat-request.ts';
import { chooseTargets } from '../preheat/targets.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';

/** Files of a directory that are preheated. */
const MAX_FILES = 10_000;

export interface PreheatContext {
  readonly driver: SwarmDriver;
  readonly writer: MessageWriter;
  readonly metrics: SchedulerMetrics;
  readonly access: Access;
  readonly preheater: Preheater;
  readonly originReader: OriginReader;
  /** To the upload service of a daemon. */
  readonly connectToHost: Connect;
}

type PreheatCalls = 'preheatImage' | 'preheatFile' | 'statImage' | 'statFile';

/** Fetching ahead of demand: requests are understood before they are answered, and carried out afterwards. */
export const preheat = (parts: PreheatContext): Pick<ServiceImpl<typeof scheduler.Scheduler>, PreheatCalls> => {
  const { driver, writer, metrics, access, preheater, originReader, connectToHost } = parts;

  /** A URL that ends in a slash stands for the files below it, as a daemon that can list them says. */
  const filesOf = async (
    request: scheduler.PreheatFileRequest | scheduler.StatFileRequest,
    origin: OriginAccess,
    signal: AbortSignal,
  ): Promise<readonly string[]> => {
    const { url } = request;
    if (!url.endsWith('/')) {
      const parsed = URL.parse(url);
      // Other schemes are the daemons' own business: nothing is connected to here.
      if (parsed !== null && /^https?:$/.test(parsed.protocol)) originReader.check(parsed);
      return [url];
    }
    const [taskId = ''] = taskIdsOf(url, toTaskIdentity(request), false);
    const choice = { scope: 'single_seed_peer', ips: [], count: undefined, percentage: undefined } as const;
    const [seed] = chooseTargets(driver.swarm.hosts(), choice, taskId);
    if (seed === undefined) return [];
    const files = await listFiles(connectToHost(seed), url, taskId, { access: origin, extras: request }, { signal });
    if (files.length > MAX_FILES) throw new PreheatRequestError(`url: more than ${MAX_FILES} files are below it`);
    return files;
  };

  return {
    async preheatImage(request, call) {
      return counted(metrics.preheatImage, async () => {
        access.checkOperator(call);
        const choice = toTargetChoice(request);
        const origin = toOriginAccess(request);
        const { layers, credentials } = await originReader.resolveImage(request.url, request.platform, origin, call);
        const done = preheater.start({
          urls: layers.map(({ url }) => url),
          identity: toTaskIdentity(request),
          access: origin,
          credentials,
          extras: { priority: request.priority },
          choice,
          limits: toLimits(request),
        });
        countFailure(metrics.preheatImage, done);
        return {};
      });
    },

    async preheatFile(request, call) {
      return counted(metrics.preheatFile, async () => {
        access.checkOperator(call);
        const choice = toTargetChoice(request);
        const origin = toOriginAccess(request);
        const { priority, outputPath, objectStorage, hdfs } = request;
        const done = preheater.start({
          urls: await filesOf(request, origin, call.signal),
          identity: toTaskIdentity(request),
          access: origin,
          credentials: origin.credentials,
          extras: { priority, outputPath, objectStorage, hdfs },
          choice,
          limits: toLimits(request),
        });
        countFailure(metrics.preheatFile, done);
        return {};
      });
    },

    async statImage(request, call) {
      return counted(metrics.statImage, async () => {
        access.checkOperator(call);
        const { layers } = await originReader.resolveImage(
          ...([request.url, request.platform, toOriginAccess(request), call] as const),
        );
        const limits = toLimits({ ...request, concurrentTaskCount: request.concurrentLayerCount });
        const urls = layers.map(({ url }) => url);
        const held = await preheater.held(urls, toTaskIdentity(request), limits, withTimeout(call, limits));
        return {
          image: { layers: urls.map((url) => ({ url })) },
          peers: held.map((file) => ({ ...nameOf(writer, file), cachedLayers: filesIn(file) })),
        };
      });
    },

    async statFile(request, call) {
      return counted(metrics.statFile, async () => {
        access.checkOperator(call);
        const limits = toLimits(request);
        const urls = await filesOf(request, toOriginAccess(request), call.signal);
        const held = await preheater.held(urls, toTaskIdentity(request), limits, withTimeout(call, limits));
        return { peers: held.map((file) => ({ ...nameOf(writer, file), cachedFiles: filesIn(file) })) };
      });
    },
  };
};

const filesIn = ({ urls }: HeldFile) => urls.map((url) => ({ url, isFinished: true }));

function nameOf(writer: MessageWriter, { host }: HeldFile): { ip: string; hostname: string } {
  return { ip: host.facts.ip, hostname: writer.host(host).hostname };
}

const withTimeout = ({ signal }: { signal: AbortSignal }, { timeoutMs }: { timeoutMs: number }) => ({
  signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
});

async function counted<T>(counter: OperationCounter<never>, work: () => Promise<T>): Promise<T> {
  counter.attempt();
  try {
    return await work();
  } catch (error) {
    counter.failure();
    throw error;
  }
}

/** The call has been answered; what comes of it is seen in the counters and in the log. */
function countFailure(counter: OperationCounter<never>, done: Promise<boolean>): void {
  void done.then((isDone) => {
    if (!isDone) counter.failure();
  });
}
