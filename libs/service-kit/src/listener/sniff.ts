import type { Socket } from 'node:net';

/** How every HTTP/2 connection without TLS begins (RFC 9113 §3.4); no HTTP/1 method starts with these three letters. */
const PREFACE_START = Buffer.from('PRI');

export interface SniffTargets {
  http1(socket: Socket): void;
  http2(socket: Socket): void;
}

/**
 * Decides by its first bytes which protocol a fresh connection speaks and hands it on as if nothing had been read. A connection that
 * says nothing for `firstByteTimeoutMs` is closed.
 */
export function sniff(socket: Socket, firstByteTimeoutMs: number, targets: SniffTargets): void {
  let seen: Buffer = Buffer.alloc(0);
  const onTimeout = () => socket.destroy();
  const onError = () => socket.destroy(); // until a server owns it, nobody else listens
  const onReadable = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      if (socket.readableEnded || socket.destroyed) socket.destroy();
      return;
    }
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, PREFACE_START.length);
    const matches = seen.compare(PREFACE_START, 0, compared, 0, compared) === 0;
    if (matches && compared < PREFACE_START.length) return;
    socket.off('readable', onReadable);
    socket.off('end', onEnd);
    socket.setTimeout(0);
    socket.off('timeout', onTimeout);
    socket.unshift(seen);
    if (matches) {
      // An HTTP/2 session has no use for half a connection: without this a client that just leaves would keep it open.
      socket.allowHalfOpen = false;
      targets.http2(socket);
    } else targets.http1(socket);
    socket.off('error', onError);
  };
  const onEnd = () => socket.destroy();
  socket.setTimeout(firstByteTimeoutMs, onTimeout);
  socket.on('error', onError);
  socket.on('readable', onReadable);
  socket.once('end', onEnd);
}
