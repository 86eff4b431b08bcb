import type { Socket } from 'node:net';

/**
 * Reads a socket into memory of the caller, as Node's `onread` does for plain sockets; those of TLS go on delivering after they were told
 * to pause. Here what comes meanwhile waits in the socket, which stops the other side.
 * @param target memory for the next read @param onRead takes a read of so many bytes; false to pause
 */
export function readInto(
  socket: Socket,
  target: () => Uint8Array,
  onRead: (bytes: number) => boolean,
): { resume(): void } {
  let isPaused = false;
  let isPumping = false;
  const pump = (): void => {
    if (isPumping) return;
    isPumping = true;
    while (!isPaused && socket.readableLength > 0) {
      const memory = target();
      const chunk = socket.read(Math.min(memory.byteLength, socket.readableLength)) as Buffer | null;
      if (chunk === null) break;
      chunk.copy(memory);
      isPaused = !onRead(chunk.byteLength);
    }
    // Makes the socket fetch more, or tell its end.
    if (!isPaused) socket.read(0);
    isPumping = false;
  };
  socket.on('readable', pump);
  return {
    resume() {
      isPaused = false;
      pump();
    },
  };
}
