import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './faults.ts';
import { flipBit } from './flip-bit.ts';
import type { RecordedRequest } from './request-log.ts';

/** Slices per second of a body with a limited rate: small enough to be even, few enough to be exact. */
const SLICES_PER_SECOND = 20;

/**
 * Sends a body and counts what the kernel took, applying the fault of this request. Returns when all is sent, the fault has cut the
 * connection, or the client has gone; which of them, the response tells (`writableFinished`).
 */
export async function sendBody(
  source: AsyncIterable<Buffer>,
  response: ServerResponse,
  entry: RecordedRequest,
  fault: Fault = {},
): Promise<void> {
  const { bytesPerSec, cutAfterBytes = Infinity, corruptAtByte = -1 } = fault;
  const gone = new Promise<false>((resolve) => response.once('close', () => resolve(false)));
  const began = performance.now();
  for await (const chunk of source) {
    for (const slice of slicesOf(chunk, bytesPerSec)) {
      if (response.destroyed) return;
      const allowed = Math.min(slice.length, cutAfterBytes - entry.sentBytes);
      if (allowed > 0) {
        const bytes = flipBit(slice.subarray(0, allowed), corruptAtByte - entry.sentBytes);
        const written = new Promise<boolean>((resolve) => response.write(bytes, (error) => resolve(!error)));
        if (!(await Promise.race([written, gone]))) return;
        entry.sentBytes += allowed;
      }
      if (entry.sentBytes >= cutAfterBytes) {
        response.destroy();
        return;
      }
      if (bytesPerSec !== undefined) {
        const due = (entry.sentBytes / bytesPerSec) * 1000 - (performance.now() - began);
        if (due > 0) await Promise.race([delay(due), gone]);
      }
    }
  }
  if (response.destroyed) return;
  await Promise.race([new Promise((resolve) => response.end(() => resolve(true))), gone]);
}

function* slicesOf(chunk: Buffer, bytesPerSec: number | undefined): Generator<Buffer> {
  if (bytesPerSec === undefined) {
    yield chunk;
    return;
  }
  const length = Math.max(1, Math.floor(bytesPerSec / SLICES_PER_SECOND));
  for (let start = 0; start < chunk.length; start += length) yield chunk.subarray(start, start + length);
}
