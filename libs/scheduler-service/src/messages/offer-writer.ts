import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { common, scheduler } from '@d7y/api';
import type { HostView, PeerView } from '@d7y/swarm';
import { numberIn } from './field-numbers.ts';
import { costMsOf } from './message-writer.ts';
import type { MessageWriter } from './message-writer.ts';

const NORMAL_TASK = numberIn(scheduler.AnnouncePeerResponseSchema, 'normal_task_response');
const CANDIDATE_PARENT = numberIn(scheduler.NormalTaskResponseSchema, 'candidate_parents');
const PEER = {
  id: numberIn(common.PeerSchema, 'id'),
  range: numberIn(common.PeerSchema, 'range'),
  priority: numberIn(common.PeerSchema, 'priority'),
  cost: numberIn(common.PeerSchema, 'cost'),
  state: numberIn(common.PeerSchema, 'state'),
  task: numberIn(common.PeerSchema, 'task'),
  host: numberIn(common.PeerSchema, 'host'),
  needBackToSource: numberIn(common.PeerSchema, 'need_back_to_source'),
  createdAt: numberIn(common.PeerSchema, 'created_at'),
  updatedAt: numberIn(common.PeerSchema, 'updated_at'),
  concurrentPieceCount: numberIn(common.PeerSchema, 'concurrent_piece_count'),
};

/**
 * Writes the answer of AnnouncePeer that offers parents: the one that nearly every registration gets, and by far the longest. Hosts are
 * encoded once per announcement and the task once per answer; what is left of a peer is written without a message in between.
 */
export class OfferWriter {
  readonly #messages: MessageWriter;
  /** By the message of the announcement: the next one is another. */
  readonly #hosts = new WeakMap<common.Host, Uint8Array>();

  /** Keeps its buffer from one answer to the next. */
  readonly #writer = new BinaryWriter();

  constructor(messages: MessageWriter) {
    this.#messages = messages;
  }

  /** @param parents of one task @returns an encoded AnnouncePeerResponse */
  offer(parents: readonly { readonly peer: PeerView }[]): Uint8Array {
    const [first] = parents;
    const task = first === undefined ? undefined : toBinary(common.TaskSchema, this.#messages.task(first.peer.task));
    const writer = this.#writer;
    within(writer, NORMAL_TASK, () => {
      for (const { peer } of parents)
        within(writer, CANDIDATE_PARENT, () => {
          this.#peer(writer, peer, task);
        });
    });
    return writer.finish();
  }

  #peer(writer: BinaryWriter, peer: PeerView, task: Uint8Array | undefined): void {
    const { range } = peer;
    writer.tag(PEER.id, WireType.LengthDelimited).string(peer.id);
    if (range !== undefined)
      within(writer, PEER.range, () => {
        writer.tag(1, WireType.Varint).uint64(range.start).tag(2, WireType.Varint).uint64(range.length);
      });
    writer.tag(PEER.priority, WireType.Varint).int32(peer.priority);
    time(writer, PEER.cost, costMsOf(peer));
    writer.tag(PEER.state, WireType.LengthDelimited).string(peer.state);
    if (task !== undefined) writer.tag(PEER.task, WireType.LengthDelimited).bytes(task);
    writer.tag(PEER.host, WireType.LengthDelimited).bytes(this.#host(peer.host));
    if (peer.needBackToSource) writer.tag(PEER.needBackToSource, WireType.Varint).bool(true);
    time(writer, PEER.createdAt, Math.floor(peer.createdAtMs));
    time(writer, PEER.updatedAt, Math.floor(peer.updatedAtMs));
    writer.tag(PEER.concurrentPieceCount, WireType.Varint).uint32(this.#messages.concurrentPieceCount(peer));
  }

  /** Without what no child needs to know of its parent. */
  #host(host: HostView): Uint8Array {
    const message = this.#messages.host(host);
    let bytes = this.#hosts.get(message);
    if (bytes === undefined) {
      const { name: _name, schedulerClusterId: _cluster, disableShared: _shared, $typeName: _type, ...rest } = message;
      bytes = toBinary(common.HostSchema, create(common.HostSchema, rest));
      this.#hosts.set(message, bytes);
    }
    return bytes;
  }
}

function within(writer: BinaryWriter, number: number, write: () => void): void {
  writer.tag(number, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

/** A Timestamp or a Duration: they are alike on the wire. */
function time(writer: BinaryWriter, number: number, ms: number): void {
  const seconds = Math.floor(ms / 1000);
  const nanos = (ms - seconds * 1000) * 1e6;
  within(writer, number, () => {
    if (seconds !== 0) writer.tag(1, WireType.Varint).int64(seconds);
    if (nanos !== 0) writer.tag(2, WireType.Varint).int32(nanos);
  });
}
