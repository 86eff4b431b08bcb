import { availableParallelism } from 'node:os';
import type { Logger } from '@d7y/service-kit';
import type { RunningContentHash, ContentHasher } from './content-hasher.ts';
import { PieceReceiverLostError } from './errors.ts';
import type { PieceClientOptions } from './piece-client.ts';
import { createPieceClient } from './piece-client.ts';
import type { PieceClient } from './piece-transfer.ts';
import { Receiver } from './receiver.ts';

export interface ThreadedPieceClientOptions extends PieceClientOptions {
  readonly logger: Logger;
  /** Half of the processors, four at most, unless given. */
  readonly threads?: number | undefined;
}

/** A piece client that receives on threads of its own, and hashes there what it receives. */
export interface ThreadedPieceClient extends PieceClient, ContentHasher, AsyncDisposable {}

/**
 * Pieces whose sink has a file go from the socket through checks and hashes into the file on one of a few threads, all pieces of a task on
 * the same one, so that the hash of the whole can see them pass. What has no file, or comes over TLS, is received right here. A thread that died is replaced
 * with the next piece. The threads share the memory that the pool would have.
 */
export function createThreadedPieceClient(options: ThreadedPieceClientOptions): ThreadedPieceClient {
  const { bufferPool, logger, packetId, connectTimeoutMs, headerTimeoutMs, progressFloor } = options;
  const threads = options.threads ?? Math.min(4, Math.max(1, availableParallelism() >>> 1));
  const maxBuffers = Math.max(1, Math.floor(bufferPool.maxBuffers / threads));
  const settings = { bufferBytes: bufferPool.bufferBytes, maxBuffers, packetId };
  const timeouts = { connectTimeoutMs, headerTimeoutMs, progressFloor };
  const here = createPieceClient(options);
  const receivers = new Map<number, Receiver>();
  let isClosed = false;

  const receiverIn = (slot: number): Receiver => {
    if (isClosed) throw new PieceReceiverLostError();
    const known = receivers.get(slot);
    if (known?.isAlive) return known;
    const receiver = new Receiver(
      { ...settings, ...timeouts },
      {
        logger,
        onGone: () => {
          if (receivers.get(slot) === receiver) receivers.delete(slot);
        },
      },
    );
    receivers.set(slot, receiver);
    return receiver;
  };
  const receiverOf = (taskId: string): Receiver => receiverIn(slotOf(taskId, threads));
  // Now, while nobody waits: the time that a thread takes to start would count against the first parents.
  for (let slot = 0; slot < threads; slot++) receiverIn(slot);

  return {
    async fetchPiece(request, sink, fetchOptions) {
      // The keys of TLS stay on this thread.
      if (sink.openFile === undefined || fetchOptions.onBytes !== undefined || options.tls !== undefined) {
        return here.fetchPiece(request, sink, fetchOptions);
      }
      return receiverOf(request.taskId).fetchPiece(request, sink, fetchOptions);
    },
    hash: (taskId, algorithm, open) => new ThreadedHash(() => receiverOf(taskId), taskId, algorithm, open),
    hashPart: (taskId, algorithm, fd, range) => surviving(() => receiverOf(taskId).hashPart(algorithm, fd, range)),
    async [Symbol.asyncDispose]() {
      isClosed = true;
      here[Symbol.dispose]();
      await Promise.all([...receivers.values()].map((receiver) => receiver[Symbol.asyncDispose]()));
    },
  };
}

/** Tasks spread evenly, and stay where they are. */
function slotOf(taskId: string, slots: number): number {
  let sum = 0;
  for (let index = 0; index < taskId.length; index++) sum = (sum * 31 + taskId.charCodeAt(index)) >>> 0;
  return sum % slots;
}

interface RunningOn {
  readonly receiver: Receiver;
  readonly hash: number;
}

/** Threads that may die over one hash. */
const MAX_ATTEMPTS = 3;

/** Does work on a thread, once more when the thread dies over it. */
async function surviving<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PieceReceiverLostError) || attempt >= MAX_ATTEMPTS) throw error;
    }
  }
}

/** A hash on a receiver; when that dies, it is begun anew on the next one. */
class ThreadedHash implements RunningContentHash {
  readonly #receiver: () => Receiver;
  readonly #taskId: string;
  readonly #algorithm: string;
  readonly #file: Promise<{ readonly fd: number } & Disposable>;
  #running: RunningOn | undefined;
  readonly #begun: Promise<unknown>;

  constructor(
    receiver: () => Receiver,
    taskId: string,
    algorithm: string,
    open: () => Promise<{ readonly fd: number } & Disposable>,
  ) {
    this.#receiver = receiver;
    this.#taskId = taskId;
    this.#algorithm = algorithm;
    this.#file = open();
    // At once: the first pieces should find it.
    this.#begun = this.#begin();
    this.#begun.catch(() => undefined);
  }

  async advance(end: number): Promise<void> {
    await this.#ask(({ receiver, hash }) => receiver.hashTo(hash, end));
  }

  forget(position: number): void {
    this.#running?.receiver.hashAgainFrom(this.#running.hash, position);
  }

  async digest(end: number): Promise<string> {
    const digest = await this.#ask(({ receiver, hash }) => receiver.digest(hash, end));
    return `${this.#algorithm}:${digest}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#begun.catch(() => undefined);
    await this.#running?.receiver.closeHash(this.#running.hash);
    const file = await this.#file.catch(() => undefined);
    file?.[Symbol.dispose]();
  }

  #ask<T>(question: (running: RunningOn) => Promise<T>): Promise<T> {
    return surviving(async () => question(await this.#begin()));
  }

  async #begin(): Promise<RunningOn> {
    const { fd } = await this.#file;
    if (this.#running?.receiver.isAlive !== true) {
      const receiver = this.#receiver();
      this.#running = { receiver, hash: receiver.hash(this.#taskId, this.#algorithm, fd) };
    }
    return this.#running;
  }
}
