import { create, toBinary } from '@bufbuild/protobuf';
import { common, scheduler } from '@d7y/api';
import type { HostView, PeerView, TaskView } from '@d7y/swarm';
import { numberIn } from './field-numbers.ts';
import { costMsOf } from './message-writer.ts';
import type { MessageWriter } from './message-writer.ts';
import { WireWriter } from './wire-writer.ts';

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
  /** Keeps its memory from one answer to the next. */
  readonly #writer = new WireWriter();

  constructor(messages: MessageWriter) {
    this.#messages = messages;
  }

  /** @param parents of one task @returns an encoded AnnouncePeerResponse */
  offer(parents: readonly { readonly peer: PeerView }[]): Uint8Array {
    const [first] = parents;
    const task = first === undefined ? undefined : this.#task(first.peer.task);
    const writer = this.#writer;
    const answer = writer.begin(NORMAL_TASK);
    for (const { peer } of parents) {
      const start = writer.begin(CANDIDATE_PARENT);
      this.#peer(peer, task);
      writer.end(start);
    }
    writer.end(answer);
    return writer.finish();
  }

  #task(task: TaskView): Uint8Array {
    return toBinary(common.TaskSchema, this.#messages.task(task));
  }

  #peer(peer: PeerView, task: Uint8Array | undefined): void {
    const writer = this.#writer;
    const { range } = peer;
    writer.text(PEER.id, peer.id);
    if (range !== undefined) {
      const start = writer.begin(PEER.range);
      writer.number(1, range.start);
      writer.number(2, range.length);
      writer.end(start);
    }
    writer.number(PEER.priority, peer.priority);
    this.#time(PEER.cost, costMsOf(peer));
    writer.text(PEER.state, peer.state);
    if (task !== undefined) writer.bytes(PEER.task, task);
    writer.bytes(PEER.host, this.#host(peer.host));
    writer.flag(PEER.needBackToSource, peer.needBackToSource);
    this.#time(PEER.createdAt, Math.floor(peer.createdAtMs));
    this.#time(PEER.updatedAt, Math.floor(peer.updatedAtMs));
    writer.number(PEER.concurrentPieceCount, this.#messages.concurrentPieceCount(peer));
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

  /** A Timestamp or a Duration: they are alike on the wire. */
  #time(field: number, ms: number): void {
    const seconds = Math.floor(ms / 1000);
    const start = this.#writer.begin(field);
    this.#writer.number(1, seconds);
    this.#writer.number(2, (ms - seconds * 1000) * 1e6);
    this.#writer.end(start);
  }
}
