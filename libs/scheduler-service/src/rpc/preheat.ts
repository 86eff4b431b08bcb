import type { ServiceImpl } from '@connectrpc/connect';
import type { scheduler } from '@d7y/api';
import type { Access } from '../access/access.ts';
import type { MessageWriter } from '../messages/message-writer.ts';
import type { OperationCounter, SchedulerMetrics } from '../metrics.ts';
import {
  chooseTargets,
  type Connect,
  type HeldFile,
  type ImageReader,
  inFetchOrder,
  listFiles,
  type OriginAccess,
  type PreheatHost,
  PreheatRequestError,
  taskIdFor,
  toOriginAccess,
} from '@d7y/preheat';
import { preheatHosts } from '../preheat/preheat-hosts.ts';
import { toLimits, toTargetChoice, toTaskIdentity } from '../preheat/preheat-request.ts';
import type { Preheater } from '../preheat/preheater.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';

/** Files of a directory that are preheated. */
const MAX_FILES = 10_000;

export interface PreheatContext {
  readonly driver: SwarmDriver;
  readonly writer: MessageWriter;
  readonly metrics: SchedulerMetrics;
  readonly access: Access;
  readonly preheater: Preheater;
  readonly imageReader: ImageReader;
  /** To the upload service of a daemon. */
  readonly connectToHost: Connect;
}

type PreheatCalls = 'preheatImage' | 'preheatFile' | 'statImage' | 'statFile';

/** Fetching ahead of demand: requests are understood before they are answered, and carried out afterwards. */
export const preheat = (parts: PreheatContext): Pick<ServiceImpl<typeof scheduler.Scheduler>, PreheatCalls> => {
  const { driver, writer, metrics, access, preheater, imageReader, connectToHost } = parts;

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
      if (parsed !== null && /^https?:$/.test(parsed.protocol)) imageReader.check(parsed);
      return [url];
    }
    const taskId = taskIdFor(url, toTaskIdentity(request), false);
    const choice = { scope: 'single_seed_peer', ips: [], count: undefined, percentage: undefined } as const;
    const seeds = chooseTargets(preheatHosts(driver.swarm.hosts()), choice);
    const [seed] = inFetchOrder(seeds, choice.scope, taskId);
    if (seed === undefined) return [];
    const files = await listFiles(connectToHost(seed), url, taskId, { access: origin, extras: request }, { signal });
    if (files.length > MAX_FILES) throw new PreheatRequestError(`url: more than ${MAX_FILES} files are below it`);
    return files;
  };

  const nameOf = ({ host: { id, ip } }: HeldFile<PreheatHost>): { ip: string; hostname: string } => {
    const host = driver.swarm.host(id);
    return { ip, hostname: host === undefined ? '' : writer.host(host).hostname };
  };

  return {
    async preheatImage(request, call) {
      return counted(metrics.preheatImage, async () => {
        access.checkOperator(call);
        const choice = toTargetChoice(request);
        const origin = toOriginAccess(request);
        const image = await imageReader.resolve(request.url, platformsOf(request), origin, call);
        const done = preheater.start({
          urls: image.files.map(({ url }) => url),
          identity: toTaskIdentity(request),
          access: origin,
          credentials: image.credentials,
          isPrivate: image.isPrivate,
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
          // Nobody has asked: whoever follows asks for itself.
          isPrivate: false,
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
        const { files } = await imageReader.resolve(request.url, platformsOf(request), toOriginAccess(request), call);
        const limits = toLimits({ ...request, concurrentTaskCount: request.concurrentLayerCount });
        const urls = files.map(({ url }) => url);
        const held = await preheater.held(urls, toTaskIdentity(request), limits, withTimeout(call, limits));
        return {
          image: { layers: urls.map((url) => ({ url })) },
          peers: held.map((file) => ({ ...nameOf(file), cachedLayers: filesIn(file) })),
        };
      });
    },

    async statFile(request, call) {
      return counted(metrics.statFile, async () => {
        access.checkOperator(call);
        const limits = toLimits(request);
        const urls = await filesOf(request, toOriginAccess(request), call.signal);
        const held = await preheater.held(urls, toTaskIdentity(request), limits, withTimeout(call, limits));
        return { peers: held.map((file) => ({ ...nameOf(file), cachedFiles: filesIn(file) })) };
      });
    },
  };
};

const platformsOf = ({ platform }: { readonly platform?: string | undefined }) => ({
  platforms: platform === undefined || platform === '' ? [] : [platform],
});

const filesIn = ({ urls }: HeldFile<PreheatHost>) => urls.map((url) => ({ url, isFinished: true }));

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
