import { create } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { common } from '@d7y/api';
import { pieceLengthFor } from '@d7y/piece';
import type { HostView, PeerView, TaskView } from '@d7y/swarm';
import type { Records } from './records.ts';

/** What a peer that does not say fetches at once. */
export const DEFAULT_CONCURRENT_PIECES = 8;
const TINY_BYTES = 128;

/** Tells what peers, tasks and hosts are, in the messages of the protocol. Request headers are never part of them. */
export class MessageWriter {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  /** The peers of one task as candidate parents: they share one message of the task. */
  candidates(parents: readonly PeerView[]): common.Peer[] {
    const [first] = parents;
    if (first === undefined) return [];
    const task = this.task(first.task);
    return parents.map((parent) => this.#peer(parent, task, this.#candidateHost(parent.host)));
  }

  peer(peer: PeerView): common.Peer {
    return this.#peer(peer, this.task(peer.task), this.host(peer.host));
  }

  task(task: TaskView): common.Task {
    const record = this.#records.task(task);
    const { contentLength = 0, pieceCount = 0 } = task.size;
    return create(common.TaskSchema, {
      id: task.id,
      type: common.TaskType.STANDARD,
      url: record?.url ?? '',
      ...(record?.digest ? { digest: record.digest } : {}),
      ...(record?.tag ? { tag: record.tag } : {}),
      ...(record?.application ? { application: record.application } : {}),
      filteredQueryParams: [...(record?.filteredQueryParams ?? [])],
      contentLength: BigInt(contentLength),
      pieceCount,
      sizeScope: sizeScopeOf(task),
      state: task.state,
      peerCount: task.peers.size,
      hasAvailablePeer: task.sharers.size > 0,
      createdAt: timestampFromMs(Math.floor(task.createdAtMs)),
      updatedAt: timestampFromMs(Math.floor(task.updatedAtMs)),
    });
  }

  host(host: HostView): common.Host {
    return this.#records.host(host)?.message ?? create(common.HostSchema, { id: host.id, ip: host.facts.ip });
  }

  /** Without what no child needs to know of its parent. */
  #candidateHost(host: HostView): common.Host {
    const {
      name: _name,
      schedulerClusterId: _cluster,
      disableShared: _shared,
      $typeName: _type,
      ...rest
    } = this.host(host);
    return create(common.HostSchema, rest);
  }

  #peer(peer: PeerView, task: common.Task, host: common.Host): common.Peer {
    return create(common.PeerSchema, {
      id: peer.id,
      priority: peer.priority,
      ...(peer.range === undefined
        ? {}
        : { range: { start: BigInt(peer.range.start), length: BigInt(peer.range.length) } }),
      cost: durationFromMs(Math.floor(Math.max(0, peer.updatedAtMs - peer.createdAtMs))),
      state: peer.state,
      task,
      host,
      needBackToSource: peer.needBackToSource,
      createdAt: timestampFromMs(Math.floor(peer.createdAtMs)),
      updatedAt: timestampFromMs(Math.floor(peer.updatedAtMs)),
      concurrentPieceCount: this.#records.peer(peer)?.concurrentPieceCount ?? DEFAULT_CONCURRENT_PIECES,
    });
  }
}

function sizeScopeOf({ size: { contentLength, pieceLength } }: TaskView): common.SizeScope {
  if (contentLength === undefined) return common.SizeScope.UNKNOW;
  if (contentLength === 0) return common.SizeScope.EMPTY;
  if (contentLength <= TINY_BYTES) return common.SizeScope.TINY;
  return contentLength <= (pieceLength ?? pieceLengthFor(contentLength))
    ? common.SizeScope.SMALL
    : common.SizeScope.NORMAL;
}
