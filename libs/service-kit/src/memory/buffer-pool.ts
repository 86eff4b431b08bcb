/** A buffer on loan from a pool; give it back by `release` or `using`, exactly once, and do not touch it afterwards. */
export interface PooledBuffer extends Disposable {
  /** All of the buffer: `bufferBytes` long, content undefined. */
  readonly bytes: Uint8Array;
  release(): void;
}

export interface BufferPoolOptions {
  /** Size of each buffer. */
  readonly bufferBytes: number;
  /** Most buffers that exist at once: the memory bound is the product of the two. */
  readonly maxBuffers: number;
}

interface Waiter {
  grant(buffer: PooledBuffer): void;
}

/**
 * A bounded set of equal buffers outside the JS heap. Buffers are made when first needed and then reused; when all are on loan,
 * callers wait in the order in which they came. Owner of a buffer is whoever acquired it, until released.
 */
export class BufferPool {
  readonly bufferBytes: number;
  readonly maxBuffers: number;
  #free: Uint8Array[] = [];
  #made = 0;
  #waiters = new Set<Waiter>();

  constructor({ bufferBytes, maxBuffers }: BufferPoolOptions) {
    if (!Number.isSafeInteger(bufferBytes) || bufferBytes < 1) throw new RangeError(`bufferBytes: ${bufferBytes}`);
    if (!Number.isSafeInteger(maxBuffers) || maxBuffers < 1) throw new RangeError(`maxBuffers: ${maxBuffers}`);
    this.bufferBytes = bufferBytes;
    this.maxBuffers = maxBuffers;
  }

  /** Buffers on loan. */
  get inUse(): number {
    return this.#made - this.#free.length;
  }

  /** Callers that wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** A buffer if one is free and nobody waits, without waiting. */
  tryAcquire(): PooledBuffer | undefined {
    if (this.#waiters.size > 0) return undefined;
    const bytes = this.#free.pop() ?? this.#make();
    return bytes === undefined ? undefined : this.#lend(bytes);
  }

  /** The next free buffer; waits in order while all are on loan. Rejects with the signal's reason. */
  acquire(options: { signal?: AbortSignal | undefined } = {}): Promise<PooledBuffer> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const buffer = this.tryAcquire();
    if (buffer !== undefined) return Promise.resolve(buffer);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        grant: (granted) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(granted);
        },
      };
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(signal?.reason as Error);
      };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #make(): Uint8Array | undefined {
    if (this.#made >= this.maxBuffers) return undefined;
    this.#made += 1;
    // Slow: its own ArrayBuffer, never a slice of Node's shared pool; not zeroed, so pages cost nothing before use.
    return Buffer.allocUnsafeSlow(this.bufferBytes);
  }

  #lend(bytes: Uint8Array): PooledBuffer {
    let released = false;
    const release = () => {
      if (released) return; // a second release would lend one buffer to two owners
      released = true;
      this.#takeBack(bytes);
    };
    return { bytes, release, [Symbol.dispose]: release };
  }

  #takeBack(bytes: Uint8Array): void {
    const [next] = this.#waiters;
    if (next === undefined) {
      this.#free.push(bytes);
      return;
    }
    this.#waiters.delete(next);
    next.grant(this.#lend(bytes));
  }
}
