import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { swarm } from '@d7y/api';
import { toVoucherMessage } from '@d7y/peer-protocol';
import type { MessageCall } from '@d7y/service-kit';
import type { TaskVouchers } from '@d7y/swarm';
import { WireWriter } from '../messages/wire-writer.ts';
import { encodedResponse } from './answer-writer.ts';
import type { LinkedPeer } from './linked-peer.ts';
import { ToldHosts } from './told-hosts.ts';

/** Answers that may wait for a daemon that does not read: each answers a question of its own. */
const MAX_QUEUED_ANSWERS = 1_024;
/** Far more than a daemon downloads at once. */
const MAX_FOLLOWED_TASKS = 10_000;
/** What goes to the stream at once, more or less. */
const MAX_WRITE_BYTES = 64 * 1024;
/** Some 50 KB a message. */
const MAX_VOUCHERS_PER_MESSAGE = 512;

type Response = swarm.LinkResponse['response'];

/** The stream that it goes out on. */
export type OutboxCall = Pick<MessageCall, 'sendFrames' | 'end'>;

/** Of all streams: what goes out on one is finished before another one has its turn. */
const writer = new WireWriter();
/** Outboxes with something to send in this turn of the event loop. */
let awake: LinkOutbox[] = [];

function flushAll(): void {
  const outboxes = awake;
  awake = [];
  for (const outbox of outboxes) outbox.flush();
}

/**
 * What goes to one daemon: answers in the order of its questions, what its peers are to hear, and the vouchers of the tasks it follows. Of
 * what a peer is to hear only the newest is kept. Vouchers are not queued but read from the book, from where the daemon has got to, when
 * its stream takes the next message: a daemon that reads slowly costs no memory, and gets the more in one message. One that asks and does
 * not read loses its stream. What is said in one turn of the event loop is written in one go, at its end.
 */
export class LinkOutbox {
  readonly #hostId: string;
  readonly #vouchersOf: (taskId: string) => TaskVouchers | undefined;
  readonly #answers: Response[] = [];
  /** Tasks with how far the daemon has read their vouchers. */
  readonly #followed = new Map<string, { log: TaskVouchers | undefined; position: number }>();
  /** Peers with something to hear, each once. */
  readonly #handOuts: LinkedPeer[] = [];
  readonly #hosts = new ToldHosts();
  /** Followed tasks with vouchers that the daemon has not read. */
  readonly #due = new Set<string>();
  readonly #call: OutboxCall;
  #isOver = false;
  /** Something will be sent as soon as this turn is over, or the daemon has read what it was sent. */
  #isScheduled = false;
  #isFull = false;

  /** @param hostId whose own vouchers are not told to it again */
  constructor(hostId: string, call: OutboxCall, vouchersOf: (taskId: string) => TaskVouchers | undefined) {
    this.#hostId = hostId;
    this.#call = call;
    this.#vouchersOf = vouchersOf;
  }

  get followedTasks(): Iterable<string> {
    return this.#followed.keys();
  }

  answer(response: Response): void {
    if (this.#isOver) return;
    if (this.#answers.length >= MAX_QUEUED_ANSWERS) {
      this.end(new ConnectError('asks, and does not read the answers', Code.ResourceExhausted));
      return;
    }
    this.#answers.push(response);
    this.#wake();
  }

  /** The peer has something to hear. */
  tellPeer(peer: LinkedPeer): void {
    if (this.#isOver) return;
    if (!peer.isInLine) {
      peer.isInLine = true;
      this.#handOuts.push(peer);
    }
    this.#wake();
  }

  /** @returns false when the daemon follows as many as it can */
  follow(taskId: string): boolean {
    if (!this.#followed.has(taskId) && this.#followed.size >= MAX_FOLLOWED_TASKS) return false;
    this.#followed.set(taskId, { log: undefined, position: 0 });
    this.tellVouchers(taskId);
    return true;
  }

  unfollow(taskId: string): void {
    this.#followed.delete(taskId);
    this.#due.delete(taskId);
  }

  /** There are vouchers of a followed task that the daemon may not have. */
  tellVouchers(taskId: string): void {
    this.#due.add(taskId);
    this.#wake();
  }

  /** Ends the stream at once, after what it takes of what is to be said. */
  end(error?: Error): void {
    if (this.#isOver) return;
    this.flush();
    this.#isOver = true;
    this.#call.end(error);
  }

  /** The daemon has read what it was sent. */
  drained(): void {
    this.#isFull = false;
    this.#wake();
  }

  #wake(): void {
    if (this.#isScheduled || this.#isFull || this.#isOver) return;
    this.#isScheduled = true;
    if (awake.push(this) === 1) setImmediate(flushAll);
  }

  /** Sends what there is, as far as the stream takes it. */
  flush(): void {
    this.#isScheduled = false;
    while (!this.#isOver && !this.#isFull) {
      while (writer.length < MAX_WRITE_BYTES && this.#writeNext());
      if (writer.length === 0) return;
      this.#isFull = !this.#call.sendFrames(writer.finish());
    }
  }

  /** @returns whether there was something to say */
  #writeNext(): boolean {
    const peer = this.#answers.length > 0 ? undefined : this.#nextPeer();
    const encoded = peer === undefined ? (this.#nextAnswer() ?? this.#nextVouchers()) : undefined;
    if (peer === undefined && encoded === undefined) return false;
    const start = writer.beginFrame();
    if (peer !== undefined) peer.writeDue(writer, this.#hosts);
    else if (encoded !== undefined) writer.raw(encoded);
    writer.endFrame(start);
    return true;
  }

  #nextAnswer(): Uint8Array | undefined {
    const response = this.#answers.shift();
    return response === undefined ? undefined : encodedResponse(response);
  }

  /** A peer with something to hear; it comes again when that is not all. */
  #nextPeer(): LinkedPeer | undefined {
    for (let peer = this.#handOuts[0]; peer !== undefined; peer = this.#handOuts[0]) {
      if (peer.isDue) return peer;
      peer.isInLine = false;
      this.#handOuts.shift();
    }
    return undefined;
  }

  #nextVouchers(): Uint8Array | undefined {
    for (const taskId of this.#due) {
      const followed = this.#followed.get(taskId);
      const log = followed === undefined ? undefined : this.#vouchersOf(taskId);
      if (followed === undefined || log === undefined) {
        this.#due.delete(taskId);
        continue;
      }
      if (followed.log !== log) {
        followed.log = log;
        followed.position = 0;
      }
      while (followed.position < log.size) {
        const run = log.read(followed.position, MAX_VOUCHERS_PER_MESSAGE);
        followed.position = run.next;
        const vouchers = run.vouchers.filter(({ hostId }) => hostId !== this.#hostId);
        if (vouchers.length === 0) continue;
        const value = create(swarm.TaskVouchersSchema, { taskId, ...toVoucherMessage({ ...run, vouchers }) });
        // Others have their turn before this task goes on.
        this.#due.delete(taskId);
        if (followed.position < log.size) this.#due.add(taskId);
        return encodedResponse({ case: 'taskVouchers', value });
      }
      this.#due.delete(taskId);
    }
    return undefined;
  }
}
