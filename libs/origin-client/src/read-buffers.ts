import { type OnReadOpts, Socket } from 'node:net';

/** Bytes read from a socket at once. */
export const READ_BYTES = 32 * 1024;
/** Free buffers kept for other connections; what is above is left to the garbage collector. */
const MAX_FREE = 16;

/** What a socket has read and its reader has not taken; never an empty list. */
const pending = new WeakMap<Socket, Buffer[]>();

/**
 * Buffers that sockets read into, used again and again. By itself a socket gets a new buffer for every read: at a gigabyte per second
 * these pile up faster than the garbage collector takes them away, and it does hardly anything else.
 *
 * A buffer is used again only when `giveBack` says that all of what was read into it has been copied. A reader that keeps parts of one
 * (a parser in the middle of a header does) never says so, and gets another.
 */
export class ReadBuffers {
  readonly #free: Buffer[] = [];
  /** Where the bytes end that were last read into a buffer. */
  readonly #ends = new WeakMap<ArrayBufferLike, number>();

  /** Goes into the options of `net.connect` or `tls.connect`. The socket then is to be read by `read` upon `readable`, as undici does. */
  get onread(): OnReadOpts {
    const ends = this.#ends;
    return {
      buffer: () => this.#free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES),
      callback(this: Socket, length: number, buffer: Uint8Array): boolean {
        ends.set(buffer.buffer, length);
        return offer(this, Buffer.from(buffer.buffer, 0, length));
      },
    };
  }

  /** @param bytes a part, of which no byte is needed any more, nor any before it, of what a socket has read */
  giveBack(bytes: Uint8Array): void {
    const end = this.#ends.get(bytes.buffer);
    if (end === undefined || bytes.byteOffset + bytes.length !== end) return;
    this.#ends.delete(bytes.buffer);
    if (this.#free.length < MAX_FREE) this.#free.push(Buffer.from(bytes.buffer));
  }
}

/**
 * Lets the reader of a socket take what has come. A TLS socket that is told to read no more still brings all that it has decrypted, so what
 * comes may find something before it.
 * @returns whether all was taken: otherwise the socket is to read no more until it is
 */
function offer(socket: Socket, bytes: Buffer): boolean {
  if (socket.read !== readPending) Object.assign(socket, { read: readPending, unshift: unshiftPending });
  const earlier = pending.get(socket);
  if (earlier === undefined) pending.set(socket, [bytes]);
  else earlier.push(bytes);
  socket.emit('readable');
  return !pending.has(socket);
}

function readPending(this: Socket, size?: number): Buffer | null {
  const waiting = pending.get(this);
  // Without anything at hand this has the socket read on, and brings its end to light.
  if (waiting === undefined) return Socket.prototype.read.call(this, size) as Buffer | null;
  if (size === 0) {
    process.nextTick(() => this.emit('readable'));
    return null;
  }
  const bytes = waiting.shift() ?? null;
  if (waiting.length === 0) pending.delete(this);
  return bytes;
}

function unshiftPending(this: Socket, bytes: Buffer): void {
  if (bytes.length === 0) return;
  const waiting = pending.get(this);
  if (waiting === undefined) pending.set(this, [bytes]);
  else waiting.unshift(bytes);
}
