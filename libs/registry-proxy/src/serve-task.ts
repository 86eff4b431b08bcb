import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { TaskStream } from '@d7y/peer-engine';
import { toContentRangeHeader } from '@d7y/piece';
import { endToEndHeaders } from './http-headers.ts';

/** Status and headers of the answer that carries a task's bytes. */
export function taskAnswerOf(
  stream: TaskStream,
  { blobDigest, serverIp }: { blobDigest: string | undefined; serverIp: string },
): { status: number; headers: OutgoingHttpHeaders; bytes: number | undefined } {
  const { range, contentLength } = stream;
  const headers = endToEndHeaders(stream.responseHeaders);
  headers['accept-ranges'] = 'bytes';
  if (blobDigest !== undefined) headers['docker-content-digest'] ??= blobDigest;
  headers['x-dragonfly-task-id'] = stream.taskId;
  headers['x-dragonfly-server-ip'] = serverIp;
  if (stream.fromCache) headers['x-dragonfly-task-download-finished'] = 'true';
  const bytes = range?.length ?? contentLength;
  if (bytes !== undefined) headers['content-length'] = bytes;
  if (range !== undefined && contentLength !== undefined)
    headers['content-range'] = toContentRangeHeader(range, contentLength);
  return { status: range === undefined ? 200 : 206, headers, bytes };
}

/**
 * Sends the bytes of a task as the body of an answer whose head is written. A slow client slows the engine down: a buffer counts as
 * taken when the socket has taken it.
 * @param sent told of every buffer
 * @throws when the task or the client broke off; the connection is destroyed then, so that nobody takes a part for the whole
 */
export async function sendTask(
  stream: Pick<TaskStream, 'deliver'>,
  response: ServerResponse,
  expectedBytes: number | undefined,
  sent: (bytes: number) => void,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  let total = 0;
  const { promise: gone, reject } = Promise.withResolvers<never>();
  gone.catch(() => undefined); // raced below, and of no interest once the body is complete
  const onAbort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('the client left'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await stream.deliver(async (bytes) => {
      // A destroyed response may drop the callback of a write: the client's leaving settles it too.
      await Promise.race([written(response, bytes), gone]);
      total += bytes.byteLength;
      sent(bytes.byteLength);
    });
    if (expectedBytes !== undefined && total !== expectedBytes) {
      throw new Error(`the task ended after ${total} of ${expectedBytes} bytes`);
    }
    const { promise: flushed, resolve } = Promise.withResolvers<void>();
    response.end(resolve);
    await Promise.race([flushed, gone]);
  } catch (error) {
    response.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function written(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
