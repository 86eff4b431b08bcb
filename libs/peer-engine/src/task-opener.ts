import type { ByteRange } from '@d7y/piece';
import type { TaskRequest } from './task-request.ts';

/** Bytes this daemon received for a task, by where they came from. */
export interface TaskTraffic {
  readonly backToSource: number;
  readonly remotePeer: number;
  /** Bytes that were on disk when the caller came. */
  readonly localPeer: number;
  /** Daemons that the bytes of `remotePeer` came from; undefined where nobody counts them. */
  readonly parents?: number;
}

/** One caller's part in a task: leaves the task when disposed; the download stops when the last caller leaves. */
export interface TaskStream extends AsyncDisposable {
  readonly taskId: string;
  /** Bytes of the whole content; undefined while an origin that does not tell is still sending. */
  readonly contentLength: number | undefined;
  /** What this caller gets; undefined stands for the whole content (answer 200, not 206). */
  readonly range: ByteRange | undefined;
  /** End-to-end headers of the origin that describe the content, lower-case, without content-length and content-range. */
  readonly responseHeaders: Readonly<Record<string, string>>;
  /** The whole task was complete on this host when the caller came. */
  readonly fromCache: boolean;
  /** Resolves as soon as the first byte may be released; rejects when the task fails before. */
  firstByte(): Promise<void>;
  /**
   * Delivers the caller's bytes in order. Each buffer belongs to the engine and is reused once the promise that `write`
   * returned resolves; the next one is read meanwhile.
   */
  deliver(write: (bytes: Uint8Array) => Promise<void>): Promise<void>;
  /** So far, for the whole task on this host. */
  traffic(): TaskTraffic;
}

/** The part of the engine that front ends use. */
export interface TaskOpener {
  /**
   * Joins the task of the request, starting its download where needed; resolves when the length is known.
   * @throws {RangeNotSatisfiableError} the range lies past the end
   * @throws {OriginStatusError} the origin refuses this caller, or has no such content
   * @throws {OriginUnreachableError} @throws {NoSpaceError}
   */
  open(request: TaskRequest, options: { signal: AbortSignal }): Promise<TaskStream>;
}
