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
  const client = new Client(response);
  const onAbort = (): void => client.leave(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await stream.deliver(async (bytes) => {
      await client.take(bytes);
      total += bytes.byteLength;
      sent(bytes.byteLength);
    });
    if (expectedBytes !== undefined && total !== expectedBytes) {
      throw new Error(`the task ended after ${total} of ${expectedBytes} bytes`);
    }
    await client.end();
  } catch (error) {
    response.destroy();
    client.leave(error); // a write that was given up has to settle: its buffer waits for that
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The receiving end of an answer. One thing at a time is waited for, so that a long body leaves nothing behind in memory. */
class Client {
  readonly #response: ServerResponse;
  #left: Error | undefined;
  /** Ends the wait under way. */
  #fail: ((reason: Error) => void) | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** A destroyed response may drop the callback of a write: the client's leaving settles it too. */
  leave(reason: unknown): void {
    this.#left ??= reason instanceof Error ? reason : new Error('the client left');
    this.#fail?.(this.#left);
  }

  /** Resolves when the socket has taken the bytes. */
  take(bytes: Uint8Array): Promise<void> {
    return this.#settled((done) => void this.#response.write(bytes, done));
  }

  end(): Promise<void> {
    return this.#settled((done) => void this.#response.end(() => done(null)));
  }

  #settled(start: (done: (error: Error | null | undefined) => void) => void): Promise<void> {
    if (this.#left !== undefined) return Promise.reject(this.#left);
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      start((error) => {
        this.#fail = undefined;
        if (error) reject(error);
        else resolve();
      });
    });
  }
}
