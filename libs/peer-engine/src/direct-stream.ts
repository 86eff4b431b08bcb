import type { Origin, OriginProbe, OriginRequest } from './ports/origin.ts';
import type { TaskStream, TaskTraffic } from './task-opener.ts';

/**
 * Content whose length its origin does not tell: it cannot be cut into pieces that all peers agree on, so it goes
 * straight to the one caller, unstored.
 */
export class DirectStream implements TaskStream {
  readonly taskId: string;
  readonly contentLength = undefined;
  readonly range = undefined;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly fromCache = false;
  readonly #origin: Origin;
  readonly #request: OriginRequest;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #received = 0;

  constructor(taskId: string, origin: Origin, request: OriginRequest, probe: OriginProbe, signal: AbortSignal) {
    this.taskId = taskId;
    this.responseHeaders = probe.headers;
    this.#origin = origin;
    this.#request = request;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  firstByte(): Promise<void> {
    return Promise.resolve();
  }

  async deliver(write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const body = await this.#origin.fetch(this.#request, undefined, { signal: this.#signal });
    for await (const chunk of body.chunks) {
      this.#received += chunk.length;
      await write(chunk);
    }
  }

  traffic(): TaskTraffic {
    return { backToSource: this.#received, remotePeer: 0, localPeer: 0 };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    return Promise.resolve();
  }
}
