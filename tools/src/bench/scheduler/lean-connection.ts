import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { FRAME_HEADER_BYTES, FrameReader, GRPC_PREFIX_BYTES, MessageReader, TYPE } from './frame-reader.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;
const LARGEST_WINDOW = 2 ** 31 - 1;
const DEFAULT_WINDOW = 65_535;
/** Room for what one read of a socket brings: every connection of a process reads into the same. */
const READ_BUFFER = Buffer.alloc(256 * 1024);

/** What comes on one call. */
export interface CallEvents {
  /** @param bytes valid until it returns: the next read may overwrite them */
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
  readonly #calls = new Map<number, OpenCall>();
  readonly #frames = new FrameReader({
    data: (id, piece) => this.#calls.get(id)?.messages.push(piece),
    frame: (type, flags, id, payload) => this.#frame(type, flags, id, payload),
  });
  #nextStream = 1;
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
          connection.#frames.push((buffer as Buffer).subarray(0, length));
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
    this.#calls.set(id, { onEnd: events.onEnd, messages: new MessageReader(events.onMessage) });
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

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    switch (type) {
      case TYPE.settings:
        if ((flags & ACK) === 0) this.#socket.write(frame(TYPE.settings, ACK, 0, Buffer.alloc(0)));
        return;
      case TYPE.ping:
        if ((flags & ACK) === 0) this.#socket.write(frame(TYPE.ping, ACK, 0, Buffer.from(payload)));
        return;
      case TYPE.data:
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
}

interface OpenCall extends Pick<CallEvents, 'onEnd'> {
  readonly messages: MessageReader;
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
