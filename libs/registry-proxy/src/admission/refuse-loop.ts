import type { Socket } from 'node:net';
import { portOf } from '@d7y/service-kit';
import { ProxyRequestError } from '../errors.ts';

/**
 * Refuses a request whose upstream is the very address that it came in at: one line of a request could lead through this proxy hundreds of
 * times.
 * @throws {ProxyRequestError} 508
 */
export function refuseLoop(
  upstream: URL,
  { localAddress = '', localPort }: Pick<Socket, 'localAddress' | 'localPort'>,
): void {
  if (portOf(upstream) !== localPort) return;
  const host = upstream.hostname.replace(/^\[|\]$/g, '');
  const own = localAddress.replace(/^::ffff:/, '');
  const isThisMachine = host === 'localhost' || host === '::1' || host.startsWith('127.') || host === own;
  if (isThisMachine) throw new ProxyRequestError(508, 'the upstream is this proxy itself');
}
