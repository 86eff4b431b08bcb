import { Code, ConnectError, createClient, type Client, type Transport } from '@connectrpc/connect';
import { dfdaemon, health } from '@d7y/api';
import { createDaemonTransport } from '@d7y/peer-protocol';
import { DaemonUnreachableError } from './errors.ts';
import { systemCodeOf } from './system-code.ts';

/** The daemon's health service knows it by this name. */
const SERVICE = dfdaemon.DfdaemonDownload.typeName;
const HEALTH_TIMEOUT_MS = 5_000;

/** A daemon that was serving a moment ago. */
export interface Daemon extends Disposable {
  /** Path of its socket. */
  readonly endpoint: string;
  readonly client: Client<typeof dfdaemon.DfdaemonDownload>;
}

/**
 * Connects to a daemon, and asks whether it is serving before anything else is asked of it.
 * @param endpoint path of its unix socket
 * @throws {DaemonUnreachableError} or the reason of the signal
 */
export async function connectDaemon(endpoint: string, { signal }: { signal: AbortSignal }): Promise<Daemon> {
  const connection = createDaemonTransport({ socketPath: endpoint });
  try {
    await checkHealth(endpoint, connection.transport, signal);
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
  return {
    endpoint,
    client: createClient(dfdaemon.DfdaemonDownload, connection.transport),
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

async function checkHealth(endpoint: string, transport: Transport, signal: AbortSignal): Promise<void> {
  const client = createClient(health.Health, transport);
  let status: health.HealthCheckResponse_ServingStatus;
  try {
    ({ status } = await client.check({ service: SERVICE }, { signal, timeoutMs: HEALTH_TIMEOUT_MS }));
  } catch (error) {
    signal.throwIfAborted();
    throw toUnreachable(endpoint, error);
  }
  if (status !== health.HealthCheckResponse_ServingStatus.SERVING) {
    throw new DaemonUnreachableError(`the dfdaemon at ${endpoint} is not serving`, {
      remedy: 'wait until it has started, or look at its log',
    });
  }
}

function toUnreachable(endpoint: string, cause: unknown): DaemonUnreachableError {
  const { code, rawMessage } = ConnectError.from(cause);
  switch (systemCodeOf(cause)) {
    case 'ENOENT':
      return new DaemonUnreachableError(`there is no socket ${endpoint}`, {
        remedy: 'start dfdaemon, or name its socket with --endpoint',
        cause,
      });
    case 'ECONNREFUSED':
      return new DaemonUnreachableError(`nobody listens at the socket ${endpoint}`, {
        remedy: 'start dfdaemon',
        cause,
      });
    case 'EACCES':
    case 'EPERM':
      return new DaemonUnreachableError(`this user may not use the socket ${endpoint}`, {
        remedy: 'change its mode, or run as another user',
        cause,
      });
    case 'ENOTSOCK':
      return new DaemonUnreachableError(`${endpoint} is not a socket`, {
        remedy: 'name the socket with --endpoint',
        cause,
      });
    default:
  }
  if (code === Code.NotFound || code === Code.Unimplemented) {
    return new DaemonUnreachableError(`what answers at ${endpoint} is not a dfdaemon`, {
      remedy: 'name the socket of the dfdaemon with --endpoint',
      cause,
    });
  }
  return new DaemonUnreachableError(`no dfdaemon answers at ${endpoint}: ${rawMessage}`, {
    remedy: 'see whether dfdaemon runs, and look at its log',
    cause,
  });
}
