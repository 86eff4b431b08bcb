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

  peer(peer: PeerView): common.Peer {
    return create(common.PeerSchema, {
      id: peer.id,
      priority: peer.priority,
      ...(peer.range === undefined
        ? {}
        : { range: { start: BigInt(peer.range.start), length: BigInt(peer.range.length) } }),
      cost: durationFromMs(costMsOf(peer)),
      state: peer.state,
      task: this.task(peer.task),
      host: this.host(peer.host),
      needBackToSource: peer.needBackToSource,
      createdAt: timestampFromMs(Math.floor(peer.createdAtMs)),
      updatedAt: timestampFromMs(Math.floor(peer.updatedAtMs)),
      concurrentPieceCount: this.concurrentPieceCount(peer),
    });
  }

  /** How many pieces the peer fetches at once. */
  concurrentPieceCount(peer: PeerView): number {
    return this.#records.peer(peer)?.concurrentPieceCount ?? DEFAULT_CONCURRENT_PIECES;
  }
}

/** How long it has taken so far. */
export const costMsOf = (peer: PeerView): number => Math.floor(Math.max(0, peer.updatedAtMs - peer.createdAtMs));

function sizeScopeOf({ size: { contentLength, pieceLength } }: TaskView): common.SizeScope {
  if (contentLength === undefined) return common.SizeScope.UNKNOW;
  if (contentLength === 0) return common.SizeScope.EMPTY;
  if (contentLength <= TINY_BYTES) return common.SizeScope.TINY;
  return contentLength <= (pieceLength ?? pieceLengthFor(contentLength))
    ? common.SizeScope.SMALL
    : common.SizeScope.NORMAL;
}
