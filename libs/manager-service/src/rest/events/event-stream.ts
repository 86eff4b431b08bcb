import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { EventTopic } from '@d7y/manager-api';
import { delay } from '@d7y/service-kit';
import { ForbiddenError, UnauthenticatedError } from '../errors.ts';
import type { EventIds } from './event-text.ts';
import { eventText, HEARTBEAT, retryText } from './event-text.ts';
import type { Feeds } from './feeds.ts';

export interface StreamLimits {
  /** How often a client hears that the connection is there. */
  readonly heartbeatMs: number;
  /** How often it is asked whether the client may still listen. */
  readonly recheckMs: number;
  /** Bytes that may wait for a client when there is another event for it. */
  readonly maxWaitingBytes: number;
  /** What a browser waits before it comes back. */
  readonly retryMs: number;
  /** How long a client may take to read the last event. */
  readonly endMs: number;
}

export interface EventStreamOptions {
  readonly response: ServerResponse;
  readonly topics: readonly EventTopic[];
  readonly feeds: Feeds;
  readonly ids: EventIds;
  readonly limits: StreamLimits;
  /** Asks whether the client may still listen to all of it. @throws {UnauthenticatedError} {@link ForbiddenError} no; whatever else: not known */
  readonly recheck: () => Promise<void>;
  /** Told why the stream ends, before the client is. */
  readonly onEnd: (end: StreamEnd) => void;
  /** Ends the stream. */
  readonly signal: AbortSignal;
}

/** Why a stream ended. */
export type StreamEnd = 'gone' | 'slow' | 'access' | 'unverified' | 'stopping';

/** Heartbeats in a row at which no less waits for a client than before: it does not read any more. */
const MAX_SILENT_BEATS = 4;
/** Times in a row that access could not be asked for. */
const MAX_UNVERIFIED = 2;

/** Sends one client what it listens to, until one of many reasons; the client hears which. Whoever does not read is dropped rather than waited for. */
export async function sendEvents(options: EventStreamOptions): Promise<void> {
  const { response, topics, feeds, ids, limits, signal } = options;
  const over = Promise.withResolvers<{ readonly end: StreamEnd; readonly reason: string }>();
  using stack = new DisposableStack();
  const every = (ms: number, run: () => void): void => {
    const timer = setInterval(run, ms).unref();
    stack.defer(() => clearInterval(timer));
  };
  const stop = (): void => over.resolve({ end: 'stopping', reason: 'the manager is stopping' });
  const gone = (): void => over.resolve({ end: 'gone', reason: '' });
  const slow = (): void => over.resolve({ end: 'slow', reason: 'events were not read as fast as they came' });
  let isOver = false;
  const send = (event: Buffer): void => {
    if (isOver) return;
    if (response.writableLength > limits.maxWaitingBytes) slow();
    else response.write(event);
  };

  response.once('close', gone);
  response.on('error', gone);
  signal.addEventListener('abort', stop, { once: true });
  stack.defer(() => signal.removeEventListener('abort', stop));
  if (signal.aborted) stop();

  send(retryText(limits.retryMs));
  send(eventText(ids.next(), { event: 'begin', data: { topics: [...topics] } }));
  for (const topic of topics) stack.use(feeds[topic].listen(send));

  let [waitingBytes, silentBeats] = [0, 0];
  every(limits.heartbeatMs, () => {
    const { writableLength } = response;
    silentBeats = writableLength > 0 && writableLength >= waitingBytes ? silentBeats + 1 : 0;
    waitingBytes = writableLength;
    // What waits will tell as much.
    if (silentBeats >= MAX_SILENT_BEATS) slow();
    else if (writableLength === 0) send(HEARTBEAT);
  });
  const recheck = createRecheck(options.recheck);
  every(limits.recheckMs, () => {
    void recheck().then((refused) => refused !== undefined && over.resolve(refused));
  });

  const { end, reason } = await over.promise;
  isOver = true;
  stack.dispose();
  options.onEnd(end);
  if (end !== 'gone') await endWith(response, eventText(ids.next(), { event: 'end', data: { reason } }), limits.endMs);
}

/** @returns asks once, and says why the stream has to end; never rejects */
function createRecheck(
  ask: () => Promise<void>,
): () => Promise<{ readonly end: StreamEnd; readonly reason: string } | undefined> {
  let unverified = 0;
  return async () => {
    try {
      await ask();
      unverified = 0;
    } catch (error) {
      if (error instanceof UnauthenticatedError || error instanceof ForbiddenError)
        return { end: 'access', reason: error.message };
      // Somebody who cannot be asked for is not let in either.
      if (++unverified >= MAX_UNVERIFIED)
        return { end: 'unverified', reason: 'it cannot be asked whether you may listen' };
    }
    return undefined;
  };
}

/** Whoever does not take the last event in time is cut off. */
async function endWith(response: ServerResponse, event: Buffer, endMs: number): Promise<void> {
  const left = new AbortController();
  const closed = response.closed ? Promise.resolve() : once(response, 'close', { signal: left.signal });
  response.end(event);
  await Promise.race([closed, delay(endMs, { signal: left.signal })]).catch(() => undefined);
  left.abort();
  response.destroy();
}
