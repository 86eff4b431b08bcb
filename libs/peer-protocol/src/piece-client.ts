import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { pieceDigest } from '@d7y/piece';
import type { AnswerFrame, Decoded, PieceMetadata } from '@d7y/piece-codec';
import { encodePieceRequest, PieceAnswerDecoder } from '@d7y/piece-codec';
import type { BufferPool } from '@d7y/service-kit';
import { BatchWriter } from './batch-writer.ts';
import type { TransferPhase } from './errors.ts';
import {
  PieceDigestMismatchError,
  PieceMismatchError,
  PieceRefusedError,
  PieceStalledError,
  PieceTransferError,
} from './errors.ts';
import { KeptConnections } from './kept-connections.ts';
import { pieceAddressOf } from './piece-address.ts';
import { type ConnectionUser, PieceConnection } from './piece-connection.ts';
import type { FetchPieceOptions, PieceClient, PieceRequest, PieceSink, ReceivedPiece } from './piece-transfer.ts';
import type { ProgressFloor } from './progress-floor.ts';
import { ProgressWatch } from './progress-floor.ts';
import type { TlsSource } from './tls-options.ts';

export interface PieceClientOptions {
  /** Each transfer takes one buffer, and a second one when there is one. */
  readonly bufferPool: BufferPool;
  /** Goes with every request, see packetIdOf. */
  readonly packetId: number;
  /** Speaks TLS with every parent, and with none without it. */
  readonly tls?: TlsSource | undefined;
  /** For the handshakes of TCP and TLS. */
  readonly connectTimeoutMs?: number | undefined;
  /** From the request to the description of the piece; a parent that is still downloading it answers late. */
  readonly headerTimeoutMs?: number | undefined;
  readonly progressFloor?: ProgressFloor | undefined;
  /** How long a connection is kept for the next piece, towards parents that serve several over one. */
  readonly idleTimeoutMs?: number | undefined;
}

const CONNECT_TIMEOUT_MS = 2_000;
const HEADER_TIMEOUT_MS = 10_000;
const PROGRESS_FLOOR: ProgressFloor = { bytesPerSec: 64 * 1024, windowMs: 5_000 };
/** Made once: an abort without a reason makes a DOMException, with a stack, for every piece. */
const ENDED = new Error('the transfer has ended');

/** A client of piece servers. Owns the connections that it keeps for further pieces; those that are idle let the process end. */
export function createPieceClient(options: PieceClientOptions): PieceClient & Disposable {
  const kept = new KeptConnections({ idleMs: options.idleTimeoutMs });
  return {
    async fetchPiece(request, sink, fetchOptions) {
      fetchOptions.signal.throwIfAborted();
      return new PieceReception(options, kept, request, sink, fetchOptions).run();
    },
    [Symbol.dispose]: () => kept[Symbol.dispose](),
  };
}

/**
 * The reception of one piece. Bytes land directly in the writer's batch: the connection asks `target` for memory before each
 * read. While no batch is free the connection is paused, and the one read that Node has prepared goes to its scratch buffer.
 */
class PieceReception implements ConnectionUser {
  readonly #options: PieceClientOptions;
  readonly #kept: KeptConnections;
  readonly #request: PieceRequest;
  readonly #sink: PieceSink;
  readonly #signal: AbortSignal;
  readonly #fetch: FetchPieceOptions;
  readonly #sha256: Hash | undefined;
  readonly #attempt: { parentAddress: string; taskId: string; pieceNumber: number };
  readonly #decoder = new PieceAnswerDecoder();
  /** Body bytes in the scratch buffer that wait for a batch. */
  #waiting: Uint8Array | undefined;
  readonly #done = Promise.withResolvers<void>();
  /** Ends waits inside the transfer with the transfer. */
  readonly #ended = new AbortController();
  #phase: TransferPhase = 'connect';
  #timer: NodeJS.Timeout | undefined;
  #progress: ProgressWatch | undefined;
  #writer: BatchWriter | undefined;
  #meta: PieceMetadata | undefined;
  #received = 0;
  #isEnded = false;
  #hasAnswer = false;
  #hasExcess = false;
  /** Limits that have not granted yet what has arrived. */
  #drawing: Promise<unknown> | undefined;
  #crc = 0;
  #connection: PieceConnection | undefined;
  /** All that was asked for is here, and nothing else: the connection is as good as new. */
  #isClean = false;

  constructor(
    options: PieceClientOptions,
    kept: KeptConnections,
    request: PieceRequest,
    sink: PieceSink,
    fetch: FetchPieceOptions,
  ) {
    this.#options = options;
    this.#kept = kept;
    this.#request = request;
    this.#sink = sink;
    this.#signal = fetch.signal;
    this.#fetch = fetch;
    this.#sha256 = fetch.sha256 ? createHash('sha256') : undefined;
    this.#attempt = {
      parentAddress: pieceAddressOf(request),
      taskId: request.taskId,
      pieceNumber: request.number,
    };
  }

  async run(): Promise<ReceivedPiece> {
    const onAbort = (): void => this.#fail(this.#signal.reason);
    this.#signal.addEventListener('abort', onAbort, { once: true });
    try {
      const known = this.#request.keepsAlive === true ? this.#kept.take(this.#attempt.parentAddress) : undefined;
      if (known === undefined) this.#connect();
      else this.#goOnWith(known);
      await this.#done.promise;
      this.#stop();
      await this.#drawing;
      await this.#writer?.flushed();
      const { number, offset, length, digest } = this.#meta as PieceMetadata;
      return { number, offset, length, digest, sha256: this.#sha256?.digest('hex') };
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
      this.#stop();
      this.#ended.abort(ENDED);
      await this.#writer?.close();
    }
  }

  #connect(): void {
    this.#phase = 'connect';
    this.#expect(this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, 'no connection');
    const where = { host: this.#request.ip, port: this.#request.tcpPort };
    this.#connection = new PieceConnection(where, this.#options.tls, this);
  }

  #goOnWith(connection: PieceConnection): void {
    this.#connection = connection;
    connection.user = this;
    this.connected();
  }

  connected(): void {
    const { kind, taskId, number } = this.#request;
    this.#phase = 'header';
    this.#expect(this.#options.headerTimeoutMs ?? HEADER_TIMEOUT_MS, 'no answer');
    this.#connection?.write(encodePieceRequest(kind, taskId, number, this.#options.packetId));
  }

  broke(reason: string, options?: ErrorOptions): void {
    if (this.#isEnded) {
      this.#isClean = false;
      return;
    }
    // The parent may have closed a connection that was idle just when it was used again: that says nothing of the parent.
    if (this.#connection?.isUsed !== true || this.#hasAnswer) return this.#fail(this.#broken(reason, options));
    this.#connection.destroy();
    this.#connect();
  }

  target(): Uint8Array | undefined {
    return this.#waiting === undefined ? this.#writer?.room : undefined;
  }

  read(bytes: number, scratch: Uint8Array | undefined): boolean {
    this.#hasAnswer = true;
    let run = scratch;
    try {
      if (this.#meta === undefined && run !== undefined) run = this.#readHeader(run);
      if (this.#meta === undefined) return true;
      if (run === undefined) this.#receiveInPlace(bytes);
      else this.#receiveByCopy(run);
    } catch (error) {
      this.#fail(error);
    }
    this.#draw(bytes);
    const mayRead = this.#mayRead;
    if (!mayRead) this.#progress?.setPaused(true);
    return mayRead;
  }

  /** There is room for more bytes, and no limit forbids them. */
  get #mayRead(): boolean {
    const hasRoom = this.#waiting === undefined && this.#writer?.hasRoom === true;
    return !this.#isEnded && this.#drawing === undefined && hasRoom;
  }

  /** Draws bytes that have arrived on the limits; until they are granted nothing more is read. */
  #draw(bytes: number): void {
    const { limiters = [] } = this.#fetch;
    if (limiters.length === 0) return;
    let waits: Promise<void>[];
    try {
      waits = limiters.flatMap((limiter) => limiter.take(bytes, { signal: this.#ended.signal }) ?? []);
    } catch (error) {
      return this.#fail(error);
    }
    if (waits.length === 0) return;
    const drawing = Promise.all(waits);
    this.#drawing = drawing;
    drawing.then(
      () => {
        this.#drawing = undefined;
        this.#resume();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** @returns what follows the description of the piece */
  #readHeader(run: Uint8Array): Uint8Array {
    const { consumed, frame } = this.#decode(run);
    if (frame !== undefined) {
      this.#begin(this.#check(frame));
      if (this.#meta?.length === 0) {
        this.#verify();
        this.#complete();
      }
    }
    return run.subarray(consumed);
  }

  #decode(run: Uint8Array): Decoded<AnswerFrame> {
    try {
      return this.#decoder.push(run);
    } catch (error) {
      throw this.#broken(error instanceof Error ? error.message : 'no frame', { cause: error });
    }
  }

  #check(frame: AnswerFrame): PieceMetadata {
    if (frame.kind === 'error') throw new PieceRefusedError(this.#attempt, frame.code, frame.message);
    if (frame.kind === 'close') throw this.#broken('the parent said goodbye instead of answering');
    const { expected, number, kind } = this.#request;
    const { meta } = frame;
    if (frame.family !== kind) throw this.#broken(`a ${frame.family} piece came instead of a ${kind} one`);
    if (meta.number !== number || meta.offset !== expected.offset || meta.length !== expected.length) {
      throw new PieceMismatchError(this.#attempt, expected, meta);
    }
    return meta;
  }

  #begin(meta: PieceMetadata): void {
    this.#meta = meta;
    this.#phase = 'body';
    clearTimeout(this.#timer);
    this.#progress = new ProgressWatch(this.#options.progressFloor ?? PROGRESS_FLOOR, (windowBytes) => {
      const { windowMs } = this.#options.progressFloor ?? PROGRESS_FLOOR;
      this.#fail(new PieceStalledError(this.#attempt, this.#received, windowBytes, windowMs));
    });
    this.#writer = new BatchWriter({
      pool: this.#options.bufferPool,
      sink: this.#sink,
      position: meta.offset,
      totalBytes: meta.length,
      signal: this.#ended.signal,
      onRoom: () => this.#resume(),
      onError: (error) => this.#fail(error),
    });
  }

  #receiveInPlace(bytes: number): void {
    const run = this.#writer?.room?.subarray(0, bytes);
    if (run !== undefined) this.#account(run);
  }

  /** Bytes in the scratch buffer: those that fit go to the batch now, the rest when there is room again. */
  #receiveByCopy(run: Uint8Array): void {
    const wanted = (this.#meta?.length ?? 0) - this.#received;
    let rest = run.subarray(0, wanted); // what a parent sends beyond its piece is of no interest
    if (run.length > wanted) this.#hasExcess = true;
    for (let room = this.#writer?.room; rest.length > 0 && room !== undefined; room = this.#writer?.room) {
      const taken = rest.subarray(0, room.length);
      room.set(taken);
      rest = rest.subarray(taken.length);
      this.#account(room.subarray(0, taken.length));
    }
    this.#waiting = rest.length > 0 ? rest : undefined;
  }

  /** Counts bytes that lie at the start of the writer's room. The last batch is written only if the piece is right. */
  #account(run: Uint8Array): void {
    this.#crc = crc32(run, this.#crc);
    this.#received += run.length;
    this.#progress?.received(run.length);
    this.#sha256?.update(run);
    this.#fetch.onBytes?.(run);
    const isLast = this.#received === this.#meta?.length;
    if (isLast) this.#verify();
    this.#writer?.advance(run.length);
    if (isLast) this.#complete();
  }

  #resume(): void {
    if (this.#isEnded) return;
    const run = this.#waiting;
    this.#waiting = undefined;
    try {
      if (run !== undefined) this.#receiveByCopy(run);
    } catch (error) {
      this.#fail(error);
    }
    if (!this.#mayRead) return;
    this.#progress?.setPaused(false);
    this.#connection?.resume();
  }

  #verify(): void {
    const announced = this.#meta?.digest ?? '';
    const actual = pieceDigest(this.#crc);
    if (announced === '' || announced === actual) return;
    throw new PieceDigestMismatchError(this.#attempt, announced, actual);
  }

  #complete(): void {
    this.#isEnded = true;
    this.#isClean = !this.#hasExcess;
    this.#done.resolve();
  }

  #expect(timeoutMs: number, what: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#isEnded) this.#fail(this.#broken(`${what} within ${timeoutMs} ms`));
    }, timeoutMs);
  }

  #broken(reason: string, options?: ErrorOptions): PieceTransferError {
    return new PieceTransferError(this.#attempt, this.#phase, reason, options);
  }

  #fail(error: unknown): void {
    this.#isEnded = true;
    this.#isClean = false;
    this.#done.reject(error);
  }

  /** Nothing more is read. */
  #stop(): void {
    clearTimeout(this.#timer);
    this.#progress?.stop();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    if (this.#isClean && this.#request.keepsAlive === true) this.#kept.keep(this.#attempt.parentAddress, connection);
    else connection.destroy();
  }
}
