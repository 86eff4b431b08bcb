import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { swarmListing } from '@d7y/api';
import type { PeerView, TaskView } from '@d7y/swarm';
import type { Access } from '../access/access.ts';
import { pageOf } from '../listing/page.ts';
import type { Records } from '../messages/records.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';
import { VERSION } from '../version.ts';

type TaskInit = MessageInitShape<typeof swarmListing.ListedTaskSchema>;
type PeerInit = MessageInitShape<typeof swarmListing.ListedPeerSchema>;
type TransferInit = MessageInitShape<typeof swarmListing.ListedTransferSchema>;

/** What is known here, for people and for the manager: read only, in pages, without secrets. */
export const listing = ({
  driver: { swarm },
  records,
  instanceId,
  access,
}: {
  driver: SwarmDriver;
  records: Records;
  instanceId: string;
  access: Access;
}): ServiceImpl<typeof swarmListing.SwarmListingService> => ({
  getOverview(_request, context) {
    access.checkOperator(context);
    const { hosts, tasks, peers, waitingPeers, peersByState } = swarm.counts();
    let seeds = 0;
    let linkedHosts = 0;
    for (const { facts, isLinked } of swarm.hosts()) {
      if (facts.kind === 'seed') seeds++;
      if (isLinked) linkedHosts++;
    }
    return {
      ...{ instanceId, version: VERSION, hosts: BigInt(hosts), seeds: BigInt(seeds), linkedHosts: BigInt(linkedHosts) },
      ...{ tasks: BigInt(tasks), peers: BigInt(peers), waitingPeers: BigInt(waitingPeers) },
      peersByState: Object.fromEntries(Object.entries(peersByState).map(([state, count]) => [state, BigInt(count)])),
    };
  },

  listTasks({ taskIdPrefix, state, hostId, ...page }, context) {
    access.checkOperator(context);
    const tasks =
      hostId === '' ? swarm.tasks() : new Set([...(swarm.host(hostId)?.peers ?? [])].map(({ task }) => task));
    const { items, nextPageToken } = pageOf(tasks, page, (task) =>
      task.id.startsWith(taskIdPrefix) && (state === '' || task.state === state)
        ? toListedTask(task, records)
        : undefined,
    );
    return { tasks: items, nextPageToken };
  },

  listPeers({ peerIdPrefix, taskIdPrefix, hostId, state, ...page }, context) {
    access.checkOperator(context);
    const peers = hostId === '' ? swarm.peers() : (swarm.host(hostId)?.peers ?? []);
    const { items, nextPageToken } = pageOf(peers, page, (peer) =>
      peer.id.startsWith(peerIdPrefix) &&
      peer.task.id.startsWith(taskIdPrefix) &&
      (state === '' || peer.state === state)
        ? toListedPeer(peer, records)
        : undefined,
    );
    return { peers: items, nextPageToken };
  },

  listTransfers({ taskIdPrefix, hostId, ...page }, context) {
    access.checkOperator(context);
    const { items, nextPageToken } = pageOf(transfers(swarm.peers()), page, ({ child, parent }) =>
      child.task.id.startsWith(taskIdPrefix) && (hostId === '' || child.host.id === hostId || parent.host.id === hostId)
        ? toListedTransfer(child, parent)
        : undefined,
    );
    return { transfers: items, nextPageToken };
  },
});

function* transfers(peers: Iterable<PeerView>): Generator<{ child: PeerView; parent: PeerView }, void, undefined> {
  for (const child of peers) for (const parent of child.parents) yield { child, parent };
}

function toListedTask(task: TaskView, records: Records): TaskInit {
  const { id, state, size, isPrivate, fetch, createdAtMs, updatedAtMs } = task;
  const { url = '', digest = '', tag = '', application = '' } = records.task(task) ?? {};
  return {
    ...{ id, state, url, digest, tag, application, isPrivate, ...lengthsOf(size) },
    peers: BigInt(task.peers.size),
    seedPeers: BigInt(seedsAmong(task.peers)),
    sharers: BigInt(task.sharers.size),
    anchors: BigInt(task.anchors.size),
    originLeases: BigInt(task.countedLeases),
    triggeredSeedHostId: fetch.kind === 'seedTriggered' ? fetch.seedHostId : '',
    ...timesOf(createdAtMs, updatedAtMs),
  };
}

function seedsAmong(peers: Iterable<PeerView>): number {
  let seeds = 0;
  for (const { host } of peers) if (host.facts.kind === 'seed') seeds++;
  return seeds;
}

function toListedPeer(peer: PeerView, records: Records): PeerInit {
  const { id, task, host, state, finishedPieces, parents, children, demand, createdAtMs, updatedAtMs } = peer;
  const { pieceCount } = lengthsOf(task.size);
  return {
    ...{ id, taskId: task.id, hostId: host.id, ip: host.facts.ip, state },
    hostname: records.host(host)?.message.hostname ?? '',
    isSeed: host.facts.kind === 'seed',
    isLinked: host.isLinked,
    finishedPieces: state === 'Succeeded' && pieceCount !== undefined ? pieceCount : BigInt(finishedPieces.size),
    ...(pieceCount !== undefined && { pieceCount }),
    parents: BigInt(parents.size),
    children: BigInt(children.size),
    isWaiting: demand.kind === 'waiting',
    ...timesOf(createdAtMs, updatedAtMs),
  };
}

function toListedTransfer(child: PeerView, parent: PeerView): TransferInit {
  const { pieceCount } = lengthsOf(child.task.size);
  const has = ({ state, finishedPieces }: PeerView): bigint =>
    state === 'Succeeded' && pieceCount !== undefined ? pieceCount : BigInt(finishedPieces.size);
  return {
    ...{ taskId: child.task.id, childPeerId: child.id, childHostId: child.host.id },
    ...{ parentPeerId: parent.id, parentHostId: parent.host.id },
    ...{ childPieces: has(child), parentPieces: has(parent), ...(pieceCount !== undefined && { pieceCount }) },
  };
}

function lengthsOf({ contentLength, pieceLength, pieceCount }: TaskView['size']) {
  return {
    ...(contentLength !== undefined && { contentLength: BigInt(contentLength) }),
    ...(pieceLength !== undefined && { pieceLength: BigInt(pieceLength) }),
    ...(pieceCount !== undefined && { pieceCount: BigInt(pieceCount) }),
  };
}

const timesOf = (createdAtMs: number, updatedAtMs: number) => ({
  createdAtMs: BigInt(Math.floor(createdAtMs)),
  updatedAtMs: BigInt(Math.floor(updatedAtMs)),
});
