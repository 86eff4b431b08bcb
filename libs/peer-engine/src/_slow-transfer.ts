import type { PieceSink } from '@d7y/peer-protocol';
import type { ByteLimiter } from '@d7y/service-kit';
import { delay } from '@d7y/service-kit';

const BATCH_BYTES = 256 * 1024;
const TICK_MS = 20;

/**
 * Hands bytes on as a transfer over a network does: at a rate, each chunk drawn on the limits, in batches to the sink. Settles only when no
 * write is under way.
 * @param options.bytesPerSec undefined for as fast as it goes; @param options.cutAt breaks off after so many bytes
 */
export async function transfer(
  bytes: Uint8Array,
  start: number,
  sink: PieceSink,
  options: {
    signal: AbortSignal;
    limiters?: readonly ByteLimiter[] | undefined;
    bytesPerSec?: number | undefined;
    cutAt?: number | undefined;
  },
): Promise<void> {
  const { signal, limiters = [], bytesPerSec, cutAt = Infinity } = options;
  const chunkBytes = bytesPerSec === undefined ? 64 * 1024 : Math.max(Math.floor((bytesPerSec * TICK_MS) / 1000), 1);
  for (let batchStart = 0, position = 0; position < bytes.length;) {
    signal.throwIfAborted();
    const end = Math.min(position + chunkBytes, bytes.length, batchStart + BATCH_BYTES);
    if (bytesPerSec !== undefined) await delay(TICK_MS, { signal });
    if (end > cutAt) throw Object.assign(new Error('the parent hung up'), { code: 'PIECE_TRANSFER', phase: 'body' });
    for (const limiter of limiters) await limiter.take(end - position, { signal });
    position = end;
    if (position < bytes.length && position - batchStart < BATCH_BYTES) continue;
    await sink.write(start + batchStart, [bytes.subarray(batchStart, position)]);
    batchStart = position;
  }
}

/** Waits for what never comes. @throws the signal's reason */
export async function forever(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  return promise;
}
