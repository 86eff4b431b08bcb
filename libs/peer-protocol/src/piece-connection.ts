import * as net from 'node:net';
import * as tls from 'node:tls';
import { readInto } from './read-into.ts';
import { connectionOptionsOf, type TlsSource } from './tls-options.ts';

/** Takes the description of a piece, and bytes that come while there is no other place for them. */
const SCRATCH_BYTES = 2048;

/** Whoever uses a connection at present. */
export interface ConnectionUser {
  /** Requests can be sent: TCP and, where it is spoken, TLS stand. */
  connected(): void;
  /** Memory for the next read; undefined for the connection's scratch buffer. */
  target(): Uint8Array | undefined;
  /** Takes a read of so many bytes. @param scratch where they are, unless `target` named a place @returns false to pause */
  read(bytes: number, scratch: Uint8Array | undefined): boolean;
  /** Nothing more will come. May be told several times. */
  broke(reason: string, options?: ErrorOptions): void;
}

/**
 * A connection to a piece server, over which one piece comes after the other. It reads into memory of whoever uses it at the time; the one
 * read that Node has prepared while there was none goes to a scratch buffer of its own.
 */
export class PieceConnection {
  /** Undefined while nobody waits for anything. */
  user: ConnectionUser | undefined;
  /** A piece was received over it before. */
  isUsed = false;
  readonly #socket: net.Socket;
  readonly #reader: { resume(): void };
  readonly #scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  #readsIntoScratch = true;

  constructor(
    where: { readonly host: string; readonly port: number },
    secure: TlsSource | undefined,
    user: ConnectionUser,
  ) {
    this.user = user;
    const onread = { buffer: () => this.#target(), callback: (bytes: number) => this.#read(bytes) };
    const options = { ...where, noDelay: true };
    const socket: net.Socket =
      secure === undefined
        ? net.connect({ ...options, onread })
        : tls.connect({ ...options, ...connectionOptionsOf(secure) });
    this.#socket = socket;
    this.#reader = secure === undefined ? socket : readInto(socket, onread.buffer, onread.callback);
    socket.once(secure === undefined ? 'connect' : 'secureConnect', () => this.user?.connected());
    socket.on('error', (error) => this.user?.broke(error.message, { cause: error }));
    socket.on('end', () => this.user?.broke('the parent hung up'));
    socket.on('close', () => this.user?.broke('the connection was closed'));
  }

  write(frame: Uint8Array): void {
    this.#socket.write(frame);
  }

  /** After `read` said false. */
  resume(): void {
    this.#reader.resume();
  }

  /** An idle connection does not keep the process alive. */
  setIdle(isIdle: boolean): void {
    if (isIdle) this.#socket.unref();
    else this.#socket.ref();
  }

  destroy(): void {
    this.user = undefined;
    this.#socket.destroy();
  }

  #target(): Uint8Array {
    const target = this.user?.target();
    this.#readsIntoScratch = target === undefined;
    return target ?? this.#scratch;
  }

  #read(bytes: number): boolean {
    const scratch = this.#readsIntoScratch ? this.#scratch.subarray(0, bytes) : undefined;
    return this.user?.read(bytes, scratch) ?? false;
  }
}
