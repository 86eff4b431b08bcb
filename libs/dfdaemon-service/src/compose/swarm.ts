import { join, resolve } from 'node:path';
import {
  type ContentHasher,
  createParentClientPool,
  createSchedulerClient,
  createThreadedPieceClient,
  createTurnClient,
  packetIdOf,
} from '@d7y/peer-protocol';
import { HostFacts } from '../host/host-facts.ts';
import { NetworkMeter } from '../host/network-meter.ts';
import { SwarmLinks } from '../link/swarm-links.ts';
import { type CountedParents, countedParents } from '../observe/counted-parents.ts';
import { SchedulerDirectory } from '../scheduler/scheduler-directory.ts';
import { PersistentSeedMemory } from '../scheduler/seed-memory.ts';
import { parentsOverNetwork } from '../upload/engine-parents.ts';
import { VERSION } from '../version.ts';
import { type Discovery, parseAddress } from './discovery.ts';
import { tlsSourceOf } from './peer-tls.ts';
import { bufferPool, type Runtime } from './runtime.ts';

/** How often schedulers' health is checked: one that comes back is used again this soon. */
const SCHEDULER_CHECK_INTERVAL_MS = 3_000;
/** How often schedulers are asked for their seeds. */
const SEED_INTERVAL_MS = 30_000;

/** The others: who tells whom to ask, and whom to ask. */
export interface SwarmAccess {
  readonly directory: SchedulerDirectory;
  readonly seeds: PersistentSeedMemory;
  readonly parents: CountedParents;
  /** Hashes content where its pieces are received. */
  readonly hasher: ContentHasher;
  /** What daemons of ours tell each other; also the directory of tags. */
  readonly links: SwarmLinks;
  readonly facts: HostFacts;
  /** Ports as announced to schedulers: those configured until a listener says which one it got. */
  readonly announced: { upload: number; proxy: number };
}

/** Nothing is asked before `directory.start()`. */
export async function createSwarmAccess(runtime: Runtime, discovery: Discovery): Promise<SwarmAccess> {
  const { config, identity, interceptors, lifetime, logger, overrides, stack, tls } = runtime;
  const { hostId } = identity;
  const clientTls = tlsSourceOf(tls.client);
  const parentClients = stack.use(createParentClientPool({ hostId, version: VERSION, interceptors, tls: clientTls }));
  const pieceClient = stack.use(
    createThreadedPieceClient({
      bufferPool: bufferPool(runtime, 1 / 4),
      packetId: packetIdOf(hostId),
      headerTimeoutMs: config.download.pieceTimeout,
      tls: clientTls,
      logger,
    }),
  );
  const turns = stack.use(createTurnClient({ packetId: packetIdOf(hostId), tls: clientTls, logger }));
  const parents = countedParents(
    parentsOverNetwork({
      clients: parentClients,
      pieceClient,
      turns,
      hostId,
      logger,
      lifetime: lifetime.signal,
    }),
  );
  const facts = new HostFacts({ identity, config, network: new NetworkMeter(identity.ip), version: VERSION });
  const seeds = await PersistentSeedMemory.open(join(resolve(config.storage.dir), 'seeds.json'), hostId, logger);
  const announced = { upload: config.upload.server.port, proxy: config.proxy.server.port };
  const directory = stack.use(
    new SchedulerDirectory({
      addresses: discovery.schedulers,
      connect: (address) =>
        createSchedulerClient({
          ...{ address: parseAddress(address), hostId, version: VERSION, interceptors, logger },
          tls: tlsSourceOf(tls.scheduler),
        }),
      describeHost: () => facts.describe(announced),
      seeds,
      refreshIntervalMs: config.dynconfig.refreshInterval,
      checkIntervalMs: overrides.schedulerCheckIntervalMs ?? SCHEDULER_CHECK_INTERVAL_MS,
      announceIntervalMs: config.scheduler.announceInterval,
      seedIntervalMs: overrides.seedIntervalMs ?? SEED_INTERVAL_MS,
      logger,
    }),
  );
  const links = stack.use(new SwarmLinks({ schedulers: directory, parents: parentClients, hostId, logger }));
  directory.registerOver(links);
  return { directory, seeds, parents, hasher: pieceClient, links, facts, announced };
}
