import type { Duplex } from 'node:stream';

/** Of which CONNECT a connection is the inside: `host:port` by the socket that carries decrypted requests. */
const tunnels = new WeakMap<Duplex, string>();

export function markIntercepted(socket: Duplex, authority: string): void {
  tunnels.set(socket, authority);
}

/** @returns undefined for a connection that came straight from a client */
export function tunnelOf(socket: Duplex): string | undefined {
  return tunnels.get(socket);
}
