import { connect } from 'node:net';
import type { Socket } from 'node:net';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAME_HEADER_BYTES = 9;
const TYPE = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;
const GRPC_PREFIX_BYTES = 5;
const LARGEST_WINDOW = 2 ** 31 - 1;
const DEFAULT_WINDOW = 65_535;
/** Room for what one read of a socket brings: every connection of a process reads into the same. */
const READ_BUFFER = Buffer.alloc(256 * 1024);

/** What comes on one call. */
export interface CallEvents {
  readonly onMessage: (bytes: Buffer) => void;
  /** The server has ended the call, or the connection is gone. */
  readonly onEnd: () => void;
}

/** One gRPC call that is open. */
export interface LeanCall {
  send(message: Uint8Array): void;
  /** Takes the call back. */
  cancel(): void;
}

/**
 * A gRPC client that does as little as can be done, so that ten thousand of them leave the processor to the server that is measured:
 * HTTP/2 without flow control of its own (windows are opened wide), and without reading headers. A call that is turned down is known by
 * ending without a message.
 */
export class LeanConnection {
  readonly #socket: Socket;
  readonly #calls = new Map<number, CallEvents & { pending: Buffer }>();
  #nextStream = 1;
  #rest: Buffer = Buffer.alloc(0);
  isOpen = true;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<LeanConnection> {
    const opened = Promise.withResolvers<void>();
    const socket = connect({
      ...{ port, host: '127.0.0.1', noDelay: true },
      onread: {
        buffer: READ_BUFFER,
        callback: (length, buffer) => {
          connection.#read((buffer as Buffer).subarray(0, length));
          return true;
        },
      },
    });
    const connection = new LeanConnection(socket);
    socket.once('connect', () => opened.resolve());
    socket.on('error', (error) => opened.reject(error));
    socket.once('close', () => connection.#closed());
    await opened.promise;
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(0x4, 0); // SETTINGS_INITIAL_WINDOW_SIZE
    settings.writeUInt32BE(LARGEST_WINDOW, 2);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(LARGEST_WINDOW - DEFAULT_WINDOW);
    socket.write(
      Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0, settings), frame(TYPE.windowUpdate, 0, 0, window)]),
    );
    return connection;
  }

  /** Begins a call with its first message. @param path `/package.Service/Method` */
  call(path: string, message: Uint8Array, events: CallEvents, isWhole = false): LeanCall {
    const id = this.#nextStream;
    this.#nextStream += 2;
    this.#calls.set(id, { ...events, pending: Buffer.alloc(0) });
    this.#socket.write(
      Buffer.concat([
        frame(TYPE.headers, END_HEADERS, id, headersOf(path)),
        frame(TYPE.data, isWhole ? END_STREAM : 0, id, prefixed(message)),
      ]),
    );
    return {
      send: (next) => {
        if (this.#calls.has(id)) this.#socket.write(frame(TYPE.data, 0, id, prefixed(next)));
      },
      cancel: () => {
        if (!this.#calls.delete(id)) return;
        this.#socket.write(frame(TYPE.reset, 0, id, Buffer.from([0, 0, 0, 8])));
      },
    };
  }

  /** One question, one answer. @throws when the server turns it down */
  async ask(path: string, message: Uint8Array): Promise<Buffer> {
    const answered = Promise.withResolvers<Buffer>();
    const onEnd = () => answered.reject(new Error(`${path}: turned down`));
    this.call(path, message, { onMessage: (bytes) => answered.resolve(Buffer.from(bytes)), onEnd }, true);
    return answered.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #closed(): void {
    this.isOpen = false;
    for (const call of this.#calls.values()) call.onEnd();
    this.#calls.clear();
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = bytes.readUIntBE(at, 3);
      const end = at + FRAME_HEADER_BYTES + length;
      if (bytes.length < end) break;
      this.#frame(
        bytes[at + 3] ?? 0,
        bytes[at + 4] ?? 0,
        bytes.readUInt32BE(at + 5) & LARGEST_WINDOW,
        bytes.subarray(at + FRAME_HEADER_BYTES, end),
      );
      at = end;
    }
    // What is kept must not lie in the buffer that the next read fills.
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    switch (type) {
      case TYPE.data:
        this.#messages(id, payload);
        break;
      case TYPE.settings:
        if ((flags & ACK) === 0) this.#socket.write(frame(TYPE.settings, ACK, 0, Buffer.alloc(0)));
        return;
      case TYPE.ping:
        if ((flags & ACK) === 0) this.#socket.write(frame(TYPE.ping, ACK, 0, Buffer.from(payload)));
        return;
      case TYPE.headers:
      case TYPE.reset:
        break;
      default:
        return;
    }
    if (type !== TYPE.reset && (flags & END_STREAM) === 0) return;
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.onEnd();
  }

  #messages(id: number, payload: Buffer): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    let bytes = call.pending.length === 0 ? payload : Buffer.concat([call.pending, payload]);
    while (bytes.length >= GRPC_PREFIX_BYTES) {
      const end = GRPC_PREFIX_BYTES + bytes.readUInt32BE(1);
      if (bytes.length < end) break;
      call.onMessage(bytes.subarray(GRPC_PREFIX_BYTES, end));
      bytes = bytes.subarray(end);
    }
    call.pending = bytes.length === 0 ? Buffer.alloc(0) : Buffer.from(bytes);
  }
}

function frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(id, 5);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

function prefixed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(GRPC_PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, GRPC_PREFIX_BYTES);
  return bytes;
}

const HEADERS = new Map<string, Buffer>();

/** HPACK (RFC 7541) without its dynamic table: literal fields, never indexed, for names of the static table. */
function headersOf(path: string): Buffer {
  let block = HEADERS.get(path);
  if (block === undefined) {
    block = Buffer.concat([
      Buffer.from([0x83, 0x86]), // :method POST, :scheme http
      Buffer.concat([Buffer.from([0x04]), text(path)]),
      Buffer.concat([Buffer.from([0x01]), text('127.0.0.1')]),
      Buffer.concat([Buffer.from([0x0f, 0x10]), text('application/grpc')]),
      Buffer.concat([Buffer.from([0x00]), text('te'), text('trailers')]),
    ]);
    HEADERS.set(path, block);
  }
  return block;
}

/** A string of fewer than 127 bytes, not Huffman coded. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}
