import type { Interceptor } from '@connectrpc/connect';
import type { common } from '@d7y/api';
import { Counter, Gauge, type Registry } from 'prom-client';
import { ConversationError, SchedulerOverloadedError } from '../errors.ts';
import { MAX_DOWNLOAD_LENGTH } from '../messages/download.ts';
import type { Admission } from './admission.ts';

/** Streams of one host: more than a daemon downloads at once. */
const MAX_STREAMS_PER_HOST = 1_024;

/** Streams whose first message is judged by itself, when it is known who speaks, and calls that do without interceptors. */
const JUDGED_LATER: ReadonlySet<string> = new Set(['AnnouncePeer', 'Link', 'AnnounceHost', 'Hello']);

/** Turns down calls that come too fast. */
export const createCallLimit =
  (admission: Admission): Interceptor =>
  (next) =>
  (request) => {
    if (!JUDGED_LATER.has(request.method.name)) admission.call();
    return next(request);
  };

/** Counts the streams of each host, so that none can take all there are. */
export class StreamQuota {
  readonly #limit: number;
  readonly #byHost = new Map<string, number>();

  constructor(limit = MAX_STREAMS_PER_HOST) {
    this.#limit = limit;
  }

  /** A stream of the host, until it is disposed. @throws {SchedulerOverloadedError} */
  enter(hostId: string): Disposable {
    const count = this.#byHost.get(hostId) ?? 0;
    if (count >= this.#limit)
      throw new SchedulerOverloadedError(`host ${hostId} has ${count} streams open, as many as one host may`);
    this.#byHost.set(hostId, count + 1);
    return { [Symbol.dispose]: () => this.#leave(hostId) };
  }

  #leave(hostId: string): void {
    const left = (this.#byHost.get(hostId) ?? 0) - 1;
    if (left > 0) this.#byHost.set(hostId, left);
    else this.#byHost.delete(hostId);
  }
}

/** @throws {ConversationError} a registration too long to be kept */
export function checkDownloadSize({
  url,
  requestHeader,
  filteredQueryParams,
  certificateChain,
}: common.Download): void {
  let length = url.length;
  for (const [name, value] of Object.entries(requestHeader)) length += name.length + value.length;
  for (const name of filteredQueryParams) length += name.length;
  for (const certificate of certificateChain) length += certificate.length;
  if (length > MAX_DOWNLOAD_LENGTH)
    throw new ConversationError(`register_peer_request.download: longer than ${MAX_DOWNLOAD_LENGTH} bytes`);
}

/** Shows who waits and who was turned down. */
export function watchAdmission(registry: Registry, admission: Admission): void {
  const registers = [registry];
  new Gauge({
    name: 'dragonfly_scheduler_waiting_registrations',
    help: 'registrations that wait for their turn',
    registers,
    collect() {
      this.set(admission.counts.waiting);
    },
  });
  new Counter({
    name: 'dragonfly_scheduler_overload_total',
    help: 'calls that came too fast: turned down, or made to wait',
    labelNames: ['kind'],
    registers,
    collect() {
      const { refused, delayed } = admission.counts;
      this.reset();
      this.inc({ kind: 'refused' }, refused);
      this.inc({ kind: 'delayed' }, delayed);
    },
  });
}
