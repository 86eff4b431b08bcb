import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { dfdaemon } from '@d7y/api';
import { peerIdOf } from '@d7y/piece';
import type { LogLevel } from '@d7y/service-kit';
import type { DfdaemonConfig } from '../config/schema.ts';
import { OwnInventory } from '../link/own-inventory.ts';
import { OwnVouchers } from '../link/own-vouchers.ts';
import { CountedEngine } from '../observe/counted-engine.ts';
import { DaemonMetrics } from '../observe/daemon-metrics.ts';
import { type Explanation, explanationOf } from '../observe/explanation.ts';
import { StatsFile } from '../observe/stats-file.ts';
import { type DaemonStatus, statusOf } from '../observe/status.ts';
import { EvictionNotices } from '../scheduler/eviction-notices.ts';
import { VERSION } from '../version.ts';
import { followBlockLists } from './block-lists.ts';
import { createDiscovery } from './discovery.ts';
import { createEngine } from './engine.ts';
import { serveLocalSocket } from './local-socket.ts';
import { serveOperators } from './operators.ts';
import { createOrigins } from './origins.ts';
import { servePieces, serveUploadRpc } from './peers.ts';
import { openRegistryKnowledge, startProxy } from './proxy.ts';
import { createRpcParts } from './rpc-parts.ts';
import { createSeedPresence } from './seed-presence.ts';
import { createRuntime, type DfdaemonOverrides } from './runtime.ts';
import { collectGarbageRegularly, openStorage } from './storage.ts';
import { createSwarmAccess } from './swarm.ts';

/** How long a daemon that is otherwise ready waits to meet its schedulers: a pull before that would go past the swarm. */
const MEET_TIMEOUT_MS = 1_000;
/** For saying goodbye to schedulers. */
const LEAVE_TIMEOUT_MS = 2_000;
/** How old the statistics file may be. */
const STATS_INTERVAL_MS = 5_000;

export interface StartDfdaemonOptions {
  readonly signal: AbortSignal;
  readonly overrides?: DfdaemonOverrides;
  /** Least severe level that is logged; as configured unless given. */
  readonly logLevel?: LogLevel | undefined;
  /** One line each, from reading the configuration. */
  readonly warnings?: readonly string[];
}

/** A daemon, or a seed peer, at work. */
export interface RunningDfdaemon extends AsyncDisposable {
  readonly hostId: string;
  readonly socketPath: string;
  readonly ports: {
    readonly upload: number;
    readonly proxy: number;
    readonly piece: number;
    /** Undefined when it is not enabled. */
    readonly metrics: number | undefined;
    readonly health: number;
  };
  status(): Promise<DaemonStatus>;
  /** Removes a task from this host and from its scheduler's list of who has it. */
  deleteTask(taskId: string, options: { signal: AbortSignal }): Promise<void>;
}

/**
 * Starts a daemon; it serves when the promise resolves, with or without a scheduler. The parts are built here, once, in the order in
 * which they are needed, and given back in reverse.
 * @throws {StartError} a port is taken, a directory cannot be used, a certificate cannot be read
 */
export async function startDfdaemon(
  config: DfdaemonConfig,
  { signal, overrides = {}, logLevel, warnings = [] }: StartDfdaemonOptions,
): Promise<RunningDfdaemon> {
  signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const runtime = createRuntime(config, stack, { overrides, logLevel });
  const { identity, lifetime, logger, name } = runtime;
  const { hostId } = identity;
  for (const warning of warnings) logger.warn(warning);

  // What is on disk, where content comes from, whom to ask, and who gets it.
  const store = await openStorage(runtime, (taskId) => {
    uploads.forget(taskId);
    notices.evicted(taskId);
  });
  const metrics = new DaemonMetrics(runtime.metrics.registry, {
    version: VERSION,
    gauges: {
      disk: async () => {
        const { capacityBytes, usedBytes } = await store.usage();
        return { totalBytes: capacityBytes, usedBytes };
      },
      parents: () => swarm.parents.current,
    },
  });
  const origins = await createOrigins(runtime, metrics);
  const discovery = await createDiscovery(runtime);
  const swarm = await createSwarmAccess(runtime, discovery);
  const notices = stack.use(
    new EvictionNotices({
      schedulers: swarm.directory,
      links: swarm.links,
      isHeld: (taskId) => store.get(taskId) !== undefined,
      logger,
    }),
  );
  const engine = createEngine(runtime, {
    ...{ store, origins, swarm, metrics },
    pace: (taskId, options) => pieceServing.steered.pace(taskId, options),
  });
  const opener = new CountedEngine(engine, metrics);
  const ownVouchers = new OwnVouchers(store, hostId, (taskId) => engine.watch(taskId, { isAudience: false }));
  swarm.links.tellAgainFrom(ownVouchers, new OwnInventory(store, () => peerIdOf(identity, randomUUID())));
  const knowledge = await openRegistryKnowledge(runtime, origins);
  const { access } = knowledge;
  for (const record of knowledge.newestTags()) swarm.links.record(record);

  // What other daemons get from here.
  const pieceServing = await servePieces(runtime, { store, engine, metrics });
  const { uploads } = pieceServing;
  const parts = createRpcParts(runtime, { store, engine, opener, access, pieceServing, swarm, metrics });
  const upload = await serveUploadRpc(runtime, parts, { swarm, pieceServing, ownVouchers });
  swarm.announced.upload = upload.port;
  const presence = createSeedPresence(runtime, upload.port);

  // What this machine gets from here.
  const status = async (): Promise<DaemonStatus> => {
    const usage = await store.usage();
    return statusOf({
      ...{ version: VERSION, hostId, isSeed: identity.isSeed, startedAtMs: runtime.startedAtMs },
      isStopping: () => lifetime.signal.aborted,
      schedulers: () => swarm.directory.status(),
      active: () => engine.active(),
      counts: () => opener.counts,
      cache: () => ({ tasks: usage.taskCount, bytes: usage.usedBytes, limitBytes: usage.capacityBytes }),
      received: () => metrics.received,
      uploadedBytes: () => uploads.totalBytes,
    });
  };
  const blockLists = await followBlockLists(runtime, discovery);
  const proxy = await startProxy(runtime, {
    ...{ engine: opener, origins, knowledge, metrics, blockLists, tagDirectory: swarm.links },
  });
  swarm.announced.proxy = proxy.port;
  const explain = (url: string): Explanation =>
    explanationOf(url, {
      route: proxy.explain,
      task: (taskId) => engine.explain(taskId),
      schedulers: (taskId) => swarm.directory.statusFor(taskId),
      seeds: (taskId) => swarm.seeds.ordered(taskId),
    });
  const socketPath = await serveLocalSocket(runtime, parts, swarm, {
    ...{ status, explain, blockLists },
    onBlocked: () => metrics.downloadBlocked(),
  });

  // Health comes last: whoever sees it may use all the rest.
  for (const service of [dfdaemon.DfdaemonUpload, dfdaemon.DfdaemonDownload])
    parts.health.set(service.typeName, 'SERVING');
  swarm.directory.start();
  await swarm.directory.met({ timeoutMs: MEET_TIMEOUT_MS });
  const operators = await serveOperators(runtime);
  stack.use(
    new StatsFile({
      ...{ path: join(resolve(config.storage.dir), 'stats.json'), status, logger },
      intervalMs: STATS_INTERVAL_MS,
    }),
  );
  collectGarbageRegularly(runtime, store);
  void presence?.run({ signal: lifetime.signal });
  stack.defer(async () => {
    swarm.links.drain('the daemon is stopping');
    lifetime.abort(new DOMException('the daemon is stopping', 'AbortError'));
    // Nothing new is let in from now on, while what is under way ends within the time that each listener gives it.
    const shut = runtime.doors.map((door) => door[Symbol.asyncDispose]());
    await Promise.all([...shut, swarm.directory.leave({ signal: AbortSignal.timeout(LEAVE_TIMEOUT_MS) })]);
  });
  const ports = { upload: upload.port, proxy: proxy.port, piece: pieceServing.port, ...operators };
  logger.info({ hostId, ports, socketPath, version: VERSION }, `${name} is serving`);

  const running = stack.move();
  return {
    ...{ hostId, socketPath, ports, status },
    deleteTask: (taskId, options) => parts.rpc.admin.delete(taskId, options),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
