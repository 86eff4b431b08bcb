import { hashLike } from './content-hash.ts';
import { TaskDigestMismatchError } from './errors.ts';
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
  readonly #digest: string | undefined;
  #received = 0;

  constructor(
    taskId: string,
    origin: Origin,
    request: OriginRequest,
    probe: OriginProbe,
    /** Of the whole, in normal form, where it is known. */
    digest: string | undefined,
    signal: AbortSignal,
  ) {
    this.#digest = digest;
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
    const hash = this.#digest === undefined ? undefined : hashLike(this.#digest);
    /** With a known digest the last bytes wait for it. */
    let withheld: Uint8Array | undefined;
    for await (const chunk of body.chunks) {
      this.#received += chunk.length;
      if (chunk.length === 0) continue;
      hash?.update(chunk);
      if (withheld !== undefined) await write(withheld);
      withheld = hash === undefined ? undefined : Buffer.from(chunk);
      if (hash === undefined) await write(chunk);
    }
    const actual = hash?.digest();
    if (this.#digest !== undefined && actual !== this.#digest) {
      throw new TaskDigestMismatchError(this.taskId, this.#digest, actual ?? '');
    }
    if (withheld !== undefined) await write(withheld);
  }

  traffic(): TaskTraffic {
    return { backToSource: this.#received, remotePeer: 0, localPeer: 0 };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    return Promise.resolve();
  }
}
