import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { UpstreamGuard } from '@d7y/service-kit';
import { UpstreamRefusedError } from '@d7y/service-kit';
import { UpstreamUnreachableError } from '../errors.ts';
import { reasonOf } from '../pass-through.ts';

/**
 * Connects to the host of a CONNECT.
 * @throws {UpstreamRefusedError} @throws {UpstreamUnreachableError}
 */
export async function connectUpstream(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  { guard, timeoutMs, signal }: { guard: UpstreamGuard; timeoutMs: number; signal: AbortSignal },
): Promise<Socket> {
  signal.throwIfAborted();
  guard.checkTarget(hostname, port);
  const host = hostname.replace(/^\[|\]$/g, '');
  // Without noDelay each small message of a TLS handshake waits for the acknowledgement of the one before.
  const socket = connect({ host, port, lookup: guard.lookup, noDelay: true, allowHalfOpen: true });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error('connecting took too long')), timeoutMs);
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  socket.once('connect', resolve).once('error', reject);
  try {
    await promise;
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    if (error instanceof UpstreamRefusedError) throw error;
    throw new UpstreamUnreachableError(`${hostname}:${port}`, reasonOf(error), { cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

/**
 * Carries bytes both ways, unread, until both sides have said all they had to say. Each direction ends by itself; a side that breaks off, or
 * a silence of both, ends all of it. Who sends faster than the other reads has to wait.
 */
export function joinSockets(
  client: Duplex & Pick<Socket, 'setTimeout'>,
  upstream: Socket,
  idleTimeoutMs: number,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const both = [client, upstream] as const;
  const end = (): void => {
    for (const socket of both) socket.destroy();
    resolve();
  };
  for (const socket of both) {
    socket.setTimeout(idleTimeoutMs, end);
    socket.on('error', end);
  }
  // When one side is gone for good, the other still gets what was on its way to it.
  upstream.once('close', () =>
    client.writableFinished || client.destroyed ? end() : client.once('finish', end).end(),
  );
  client.once('close', () =>
    upstream.writableFinished || upstream.destroyed ? end() : upstream.once('finish', end).end(),
  );
  client.pipe(upstream);
  upstream.pipe(client);
  return promise;
}
