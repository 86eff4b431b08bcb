import * as http from 'node:http';
import { StatusError } from './errors.ts';
import { systemCodeOf } from './system-code.ts';

/** How a daemon is, as it tells itself. */
export interface DaemonStatus {
  readonly health: string;
  readonly version: string;
  readonly hostId: string;
  /** Undefined when the daemon does not say. */
  readonly isSeed: boolean | undefined;
  readonly schedulers: readonly { readonly address: string; readonly reachable: boolean }[];
  readonly tasks: { readonly total: number; readonly running: number };
  readonly cache: { readonly tasks: number; readonly bytes: number };
  /** Since it started; `fromLocalCache` is undefined when the daemon does not say. */
  readonly bytes: {
    readonly fromSource: number;
    readonly fromPeers: number;
    readonly fromLocalCache: number | undefined;
    readonly uploaded: number;
  };
  readonly activeTasks: readonly ActiveTask[];
}

/** A download under way; what the daemon does not know or does not say is undefined. */
export interface ActiveTask {
  readonly taskId: string;
  readonly url: string | undefined;
  /** Bytes. */
  readonly contentLength: number | undefined;
  readonly receivedBytes: number | undefined;
  readonly finishedPieces: number | undefined;
  readonly pieceCount: number | undefined;
}

/** A status as the program reads it, and all of it as the daemon sent it: newer ones may say more. */
export interface ReportedStatus {
  readonly known: DaemonStatus;
  readonly all: unknown;
}

const STATUS_TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/**
 * Asks for the status over HTTP at the daemon's socket.
 * @returns undefined when the daemon has nothing of that kind: it is a stock one
 * @throws {StatusError} or the reason of the signal
 */
export async function fetchStatus(
  endpoint: string,
  { signal }: { signal: AbortSignal },
): Promise<ReportedStatus | undefined> {
  const body = await get(endpoint, AbortSignal.any([signal, AbortSignal.timeout(STATUS_TIMEOUT_MS)])).catch(
    (cause: unknown) => {
      signal.throwIfAborted();
      if (isOtherProtocol(cause)) return undefined;
      throw new StatusError(`the dfdaemon at ${endpoint} does not tell its status`, {
        remedy: 'look at its log',
        cause,
      });
    },
  );
  if (body === undefined) return undefined;
  try {
    const all: unknown = JSON.parse(body);
    return { known: readStatus(all), all };
  } catch (cause) {
    if (cause instanceof StatusError) throw cause;
    throw new StatusError(`the status of the dfdaemon at ${endpoint} is not JSON`, { cause });
  }
}

/** A server of HTTP/2 alone answers HTTP/1 in its own language, or hangs up. */
function isOtherProtocol(error: unknown): boolean {
  const code = systemCodeOf(error) ?? '';
  return code.startsWith('HPE_') || code === 'ECONNRESET';
}

async function get(socketPath: string, signal: AbortSignal): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  http
    .get({ socketPath, path: '/status', headers: { accept: 'application/json' }, agent: false, signal }, resolve)
    .once('error', reject);
  const response = await promise;
  if (response.statusCode === 404) {
    response.destroy();
    return undefined;
  }
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`HTTP status ${response.statusCode ?? 0}`);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`more than ${MAX_ANSWER_BYTES} bytes`); // ends the iteration, which hangs up
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

type Fields = Partial<Record<string, unknown>>;

/** @throws {StatusError} that names the field */
function readStatus(json: unknown): DaemonStatus {
  const status = fieldsOf(json, 'status');
  const tasks = fieldsOf(status['tasks'], 'tasks');
  const cache = fieldsOf(status['cache'], 'cache');
  const bytes = fieldsOf(status['bytes'], 'bytes');
  return {
    health: text(status, 'health'),
    version: text(status, 'version'),
    hostId: text(status, 'hostId'),
    isSeed: typeof status['isSeed'] === 'boolean' ? status['isSeed'] : undefined,
    schedulers: listOf(status, 'schedulers').map((scheduler) => ({
      address: text(scheduler, 'address'),
      reachable: scheduler['reachable'] === true,
    })),
    tasks: { total: number(tasks, 'total'), running: number(tasks, 'running') },
    cache: { tasks: number(cache, 'tasks'), bytes: number(cache, 'bytes') },
    bytes: {
      fromSource: number(bytes, 'fromSource'),
      fromPeers: number(bytes, 'fromPeers'),
      fromLocalCache: optionalNumber(bytes, 'fromLocalCache'),
      uploaded: number(bytes, 'uploaded'),
    },
    activeTasks: listOf(status, 'activeTasks').map((task) => ({
      taskId: text(task, 'taskId'),
      url: task['url'] === undefined ? undefined : text(task, 'url'),
      contentLength: optionalNumber(task, 'contentLength'),
      receivedBytes: optionalNumber(task, 'receivedBytes'),
      finishedPieces: optionalNumber(task, 'finishedPieces'),
      pieceCount: optionalNumber(task, 'pieceCount'),
    })),
  };
}

function fieldsOf(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, 'an object');
  return value;
}

function listOf(fields: Fields, name: string): Fields[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw wrong(name, 'a list');
  return value.map((entry) => fieldsOf(entry, name));
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw wrong(name, 'a text');
  return value;
}

function number(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !(value >= 0)) throw wrong(name, 'a number');
  return value;
}

function optionalNumber(fields: Fields, name: string): number | undefined {
  return fields[name] === undefined || fields[name] === null ? undefined : number(fields, name);
}

function wrong(name: string, expected: string): StatusError {
  return new StatusError(`the status of the dfdaemon is not understood: ${name} is not ${expected}`, {
    remedy: 'use the dfget of the same version as the dfdaemon',
  });
}
