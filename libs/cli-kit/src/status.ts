import { StatusError } from './errors.ts';
import { askSocket } from './socket-http.ts';

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

/**
 * Asks for the status over HTTP at the daemon's socket.
 * @returns undefined when the daemon has nothing of that kind: it is a stock one
 * @throws {StatusError} or the reason of the signal
 */
export async function fetchStatus(
  endpoint: string,
  { signal }: { signal: AbortSignal },
): Promise<ReportedStatus | undefined> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(STATUS_TIMEOUT_MS)]);
  const answer = await askSocket(endpoint, { path: '/status' }, { signal: either }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw noStatus(endpoint, { cause });
  });
  if (answer === undefined || answer.status === 404) return undefined;
  if (answer.status !== 200) throw noStatus(endpoint, { details: [`HTTP status ${answer.status}`] });
  try {
    const all: unknown = JSON.parse(answer.text);
    return { known: readStatus(all), all };
  } catch (cause) {
    if (cause instanceof StatusError) throw cause;
    throw new StatusError(`the status of the dfdaemon at ${endpoint} is not JSON`, { cause });
  }
}

const noStatus = (endpoint: string, options: { cause?: unknown; details?: readonly string[] }): StatusError =>
  new StatusError(`the dfdaemon at ${endpoint} does not tell its status`, { remedy: 'look at its log', ...options });

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
    remedy: 'use a program of the same version as the dfdaemon',
  });
}
