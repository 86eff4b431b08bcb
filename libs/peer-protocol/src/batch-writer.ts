import type { BufferPool, PooledBuffer } from '@d7y/service-kit';
import type { PieceSink } from './piece-transfer.ts';

interface Batch {
  readonly buffer: PooledBuffer;
  filled: number;
  isWriting: boolean;
}

/** Two: one fills from the socket while the other goes to the sink. */
const MAX_BATCHES = 2;

export interface BatchWriterInit {
  readonly pool: BufferPool;
  readonly sink: PieceSink;
  /** Position in the task of the first byte. */
  readonly position: number;
  /** How many bytes will come in all. */
  readonly totalBytes: number;
  /** Ends the wait for buffers. */
  readonly signal: AbortSignal;
  /** There is room again after there was none. */
  readonly onRoom: () => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Gathers bytes in pooled buffers and writes each buffer to the sink when it is full. One buffer is enough to go on; a
 * second one is taken when the pool has it, so that a full pool slows transfers down but never stops them all.
 * Owns its buffers until `close`.
 */
export class BatchWriter {
  readonly #init: BatchWriterInit;
  readonly #batches: Batch[] = [];
  readonly #writes = new Set<Promise<void>>();
  #current: Batch | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isClosed = false;
  #position: number;
  /** Bytes that have not been filled in yet. */
  #remaining: number;

  constructor(init: BatchWriterInit) {
    this.#init = init;
    this.#position = init.position;
    this.#remaining = init.totalBytes;
    if (init.totalBytes === 0) return;
    const buffer = init.pool.tryAcquire();
    if (buffer === undefined) this.#awaitBuffer();
    else this.#current = this.#add(buffer);
  }

  get hasRoom(): boolean {
    return this.#current !== undefined && this.#remaining > 0;
  }

  /** Where the next bytes go, never more than are expected; undefined while all buffers are busy. */
  get room(): Uint8Array | undefined {
    const batch = this.#current;
    if (batch === undefined || this.#remaining === 0) return undefined;
    const { bytes } = batch.buffer;
    return bytes.subarray(batch.filled, Math.min(bytes.length, batch.filled + this.#remaining));
  }

  /** Declares bytes at the start of `room` filled. */
  advance(bytes: number): void {
    const batch = this.#current;
    if (batch === undefined) return;
    batch.filled += bytes;
    this.#remaining -= bytes;
    if (this.#remaining > 0 && batch.filled < batch.buffer.bytes.length) return;
    this.#write(batch);
    this.#current = this.#remaining === 0 ? undefined : this.#freeBatch();
  }

  /** Resolves when everything that was filled in has been written; rejects with what the sink threw. */
  async flushed(): Promise<void> {
    await Promise.allSettled(this.#writes);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Gives the buffers back once the sink has let go of them. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#current = undefined;
    await Promise.allSettled(this.#writes);
    for (const { buffer } of this.#batches.splice(0)) buffer.release();
  }

  #freeBatch(): Batch | undefined {
    const free = this.#batches.find(({ isWriting }) => !isWriting);
    if (free !== undefined || this.#batches.length >= MAX_BATCHES) return free;
    const buffer = this.#init.pool.tryAcquire();
    return buffer === undefined ? undefined : this.#add(buffer);
  }

  #add(buffer: PooledBuffer): Batch {
    const batch = { buffer, filled: 0, isWriting: false };
    this.#batches.push(batch);
    return batch;
  }

  #awaitBuffer(): void {
    this.#init.pool.acquire({ signal: this.#init.signal }).then(
      (buffer) => {
        if (this.#isClosed) buffer.release();
        else this.#offer(this.#add(buffer));
      },
      (error: unknown) => {
        if (!this.#isClosed) this.#init.onError(error);
      },
    );
  }

  #write(batch: Batch): void {
    const position = this.#position;
    this.#position += batch.filled;
    const write = this.#writeOut(batch, position);
    this.#writes.add(write);
    void write.then(() => this.#writes.delete(write));
  }

  /** Never rejects. */
  async #writeOut(batch: Batch, position: number): Promise<void> {
    batch.isWriting = true;
    try {
      await this.#init.sink.write(position, [batch.buffer.bytes.subarray(0, batch.filled)]);
    } catch (error) {
      this.#failure ??= { error };
      this.#init.onError(error);
      return;
    }
    batch.filled = 0;
    batch.isWriting = false;
    if (!this.#isClosed) this.#offer(batch);
  }

  #offer(batch: Batch): void {
    if (this.#current !== undefined || this.#remaining === 0) return;
    this.#current = batch;
    this.#init.onRoom();
  }
}
