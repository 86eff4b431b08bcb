import type { Socket } from 'node:net';
import type { RequestFrame, TurnRequestFrame } from '@d7y/piece-codec';
import {
  encodeError,
  encodePieceHeader,
  encodeTurnAnswer,
  MalformedFrameError,
  PieceRequestDecoder,
  UnknownTagError,
} from '@d7y/piece-codec';
import type { BufferPool, ByteLimiter, Logger } from '@d7y/service-kit';
import { withTimeout } from '@d7y/service-kit';
import type { PieceRefusal } from './errors.ts';
import type { PieceServerLimits } from './piece-server.ts';
import type { PieceSource, PieceUpload, TaskKind } from './piece-transfer.ts';
import type { TurnDesk } from './turn-desk.ts';
import type { UploadSlot, UploadSlots } from './upload-slots.ts';

type PieceRequestFrame = Extract<RequestFrame, { kind: 'request' }>;

export interface PieceServerConnectionInit {
  readonly source: PieceSource;
  readonly bufferPool: BufferPool;
  readonly limits: PieceServerLimits;
  readonly slots: UploadSlots;
  /** Where children of ours are offered turns. */
  readonly turns: TurnDesk;
  /** Hears of every run of bytes that leaves. */
  readonly onSent: (bytes: number) => void;
  readonly limiter?: ByteLimiter | undefined;
  /** Whether the connection may stay open after an upload. */
  readonly mayKeep: () => boolean;
  readonly logger: Logger;
}

/** What a child may send while it is being answered before it is taken for noise. */
const MAX_EXCESS_BYTES = 64 * 1024;

/** What a child that reads nothing may leave unread of what is said of turns. */
const MAX_UNREAD_BYTES = 64 * 1024;

/** The connection is gone; nothing more can be said on it. */
class ConnectionGoneError extends Error {}

/**
 * One connection of a child: request, answer and so on, until the child has sent its last or is idle. Stock children half-close when they
 * have the description of their only piece, which says that nothing more is asked. Children of ours may speak of turns instead, on a connection
 * of its own. Owns the socket.
 */
export class PieceServerConnection {
  readonly #socket: Socket;
  readonly #init: PieceServerConnectionInit;
  /** Aborted when the socket is closed. */
  readonly #gone = new AbortController();
  readonly #decoder = new PieceRequestDecoder();
  #hasRequest = false;
  /** What came and was not looked at yet. */
  #received: Buffer[] = [];
  #receivedBytes = 0;
  /** The child will send nothing more. */
  #hasEnded = false;
  #onReceived: (() => void) | undefined;

  constructor(socket: Socket, init: PieceServerConnectionInit) {
    this.#socket = socket;
    this.#init = init;
    socket.on('error', () => undefined); // 'close' follows, and says all that is needed
    socket.once('close', () => this.#gone.abort(new ConnectionGoneError('the child closed the connection')));
    socket.on('timeout', () => socket.destroy());
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.once('end', () => {
      this.#hasEnded = true;
      this.#onReceived?.();
    });
  }

  /** Resolves when the socket is closed; never rejects. */
  async serve(): Promise<void> {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    this.#socket.once('close', () => resolve());
    try {
      let request = await this.#readRequest(this.#init.limits.requestTimeoutMs);
      if (request !== undefined && request.kind !== 'request') return await this.#speakOfTurns(request);
      while (request?.kind === 'request' && (await this.#answer(request))) request = await this.#nextRequest();
      this.#socket.end();
      this.#socket.setTimeout(this.#init.limits.closeTimeoutMs);
    } catch (error) {
      if (!(error instanceof ConnectionGoneError)) {
        this.#init.logger.debug({ child: this.#child, err: error }, 'an upload broke off');
      }
      this.#socket.destroy();
    }
    await closed;
  }

  /** Closes the connection unless a request is under way. */
  drain(): void {
    if (!this.#hasRequest) this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  get #child(): string {
    return (this.#socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  }

  #receive(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    this.#onReceived?.();
    if (this.#receivedBytes > MAX_EXCESS_BYTES) this.#socket.destroy();
  }

  /** @returns undefined when the child hung up, said goodbye or spoke something else */
  async #readRequest(timeoutMs: number): Promise<PieceRequestFrame | TurnRequestFrame | undefined> {
    const timer = setTimeout(() => this.#socket.destroy(), timeoutMs);
    try {
      const frame = await this.#readFrame();
      return frame?.kind === 'close' ? undefined : frame;
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
      if (!(error instanceof UnknownTagError)) this.#refuse('invalidArgument', error.message, 0);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The request after an upload. @returns undefined when there will be none, or none comes in time */
  async #nextRequest(): Promise<PieceRequestFrame | TurnRequestFrame | undefined> {
    const { limits, mayKeep } = this.#init;
    this.#hasRequest = false;
    if (this.#hasEnded || limits.keepAliveMs === 0 || !mayKeep()) return undefined;
    this.#socket.setTimeout(0);
    return await this.#readRequest(limits.keepAliveMs);
  }

  /** What is said of turns, from the first word on. Throws when the child breaks off or makes no sense. */
  async #speakOfTurns(first: TurnRequestFrame): Promise<void> {
    const { turns, limits } = this.#init;
    const { packetId } = first;
    const key = `${this.#child} ${packetId}`;
    using place = turns.join({
      ...{ key, packetId },
      say: (frame) => {
        this.#socket.write(encodeTurnAnswer(frame));
        if (this.#socket.writableLength > MAX_UNREAD_BYTES) this.#socket.destroy();
      },
    });
    this.#socket.setTimeout(limits.turnSilenceMs);
    for (let frame: RequestFrame | undefined = first; frame !== undefined; frame = await this.#readFrame()) {
      // The server may close it at any time: nobody waits for an answer here.
      this.#hasRequest = false;
      if (frame.kind === 'request' || frame.kind === 'close') break;
      place.heard(frame);
    }
    this.#socket.destroy();
  }

  /** @returns undefined when the child has hung up in good order. @throws {MalformedFrameError} @throws {ConnectionGoneError} */
  #readFrame(): Promise<RequestFrame | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<RequestFrame | undefined>();
    const onGone = (): void => reject(this.#gone.signal.reason);
    const look = (): void => {
      try {
        const frame = this.#takeFrame();
        this.#hasRequest ||= frame !== undefined;
        if (frame !== undefined || this.#hasEnded) resolve(frame);
      } catch (error) {
        this.#hasRequest = true; // whatever follows is noise
        reject(error);
      }
    };
    if (this.#gone.signal.aborted) onGone();
    this.#gone.signal.addEventListener('abort', onGone, { once: true });
    this.#onReceived = look;
    look();
    return promise.finally(() => {
      this.#onReceived = undefined;
      this.#gone.signal.removeEventListener('abort', onGone);
    });
  }

  #takeFrame(): RequestFrame | undefined {
    for (let chunk = this.#received.shift(); chunk !== undefined; chunk = this.#received.shift()) {
      const { consumed, frame } = this.#decoder.push(chunk);
      this.#receivedBytes -= chunk.length;
      const rest = chunk.subarray(consumed);
      if (rest.length > 0) {
        this.#received.unshift(rest);
        this.#receivedBytes += rest.length;
      }
      if (frame !== undefined) return frame;
    }
    return undefined;
  }

  /** @returns whether the piece was sent, and the child may ask for another one */
  async #answer(request: PieceRequestFrame): Promise<boolean> {
    const { family, taskId, number, packetId } = request;
    if (family === 'cache') return this.#refuse('invalidArgument', 'cache tasks are not served', packetId);
    let upload: PieceUpload | undefined;
    try {
      upload = await this.#openPiece(family, request);
    } catch (error) {
      if (this.#gone.signal.aborted) throw error;
      this.#init.logger.warn({ taskId, pieceNumber: number, err: error }, 'a piece cannot be opened for upload');
      return this.#refuse('internal', 'the piece cannot be opened', packetId);
    }
    if (upload === undefined)
      return this.#refuse('notFound', `piece ${number} of task ${taskId} is not here`, packetId);
    const progress = { sentBytes: 0 };
    try {
      const isSent = await this.#sendInTurn(upload, request, progress);
      upload.close(progress.sentBytes);
      return isSent;
    } catch (error) {
      upload.close(progress.sentBytes, error);
      throw error;
    }
  }

  #openPiece(kind: TaskKind, { taskId, number, packetId }: PieceRequestFrame): Promise<PieceUpload | undefined> {
    const child = { ip: this.#child, packetId };
    return withTimeout(
      async (signal) => {
        const upload = await this.#init.source.openPiece(kind, taskId, number, child, { signal });
        if (signal.aborted) upload?.close(0, signal.reason); // it came too late: nobody else will close it
        return upload;
      },
      this.#init.limits.pieceWaitTimeoutMs,
      `piece ${number} of task ${taskId}`,
      { signal: this.#gone.signal },
    );
  }

  async #sendInTurn(
    upload: PieceUpload,
    request: PieceRequestFrame,
    progress: { sentBytes: number },
  ): Promise<boolean> {
    const isSmall = upload.length <= this.#init.limits.smallPieceBytes;
    const wanted = { child: `${this.#child} ${request.packetId}`, isSmall };
    using slot = await this.#init.slots.take(wanted, { signal: this.#gone.signal });
    if (slot === undefined) return this.#refuse('internal', 'too many uploads', request.packetId);
    const { family, packetId } = request;
    const { number, offset, length, digest, parentId, costMs, createdAtMs } = upload;
    const meta = { number, offset, length, digest, parentId, trafficType: 'remotePeer', costMs, createdAtMs } as const;
    const header = encodePieceHeader(family, meta, packetId);
    using buffer = length === 0 ? undefined : await this.#init.bufferPool.acquire({ signal: this.#gone.signal });
    this.#socket.setTimeout(this.#init.limits.sendStallTimeoutMs);
    // Large reads cost less; but where the pool has no second buffer, one is enough.
    using second = length > (buffer?.bytes.length ?? length) / 2 ? this.#init.bufferPool.tryAcquire() : undefined;
    if (buffer === undefined) await this.#write(header);
    else
      await this.#send(upload, header, second === undefined ? halvesOf(buffer.bytes) : [buffer.bytes, second.bytes], {
        progress,
        slot,
      });
    return true;
  }

  /** One of the two buffers is filled from the store while the other is on its way to the socket. */
  async #send(
    upload: PieceUpload,
    header: Uint8Array,
    buffers: readonly [Uint8Array, Uint8Array],
    { progress, slot }: { progress: { sentBytes: number }; slot: UploadSlot },
  ): Promise<void> {
    const startedAtMs = performance.now();
    let sending: Promise<void> = Promise.resolve();
    let from = 0;
    try {
      for (let turn = 0; from < upload.length; turn++) {
        const half = buffers[turn % 2 === 0 ? 0 : 1];
        const read = await upload.read(from, half.subarray(0, Math.min(half.length, upload.length - from)));
        if (read === 0) throw new Error(`the store ended ${upload.length - from} bytes early`);
        await sending;
        progress.sentBytes = from;
        this.#init.onSent(read);
        if (isEnding(upload.length, from, performance.now() - startedAtMs, this.#init.turns.leadMs)) slot.endTurn();
        await this.#draw(read);
        const run = half.subarray(0, read);
        sending = from === 0 ? this.#write(header, run) : this.#write(run);
        sending.catch(() => undefined); // awaited below; it must not count as unobserved meanwhile
        from += read;
      }
    } finally {
      // The socket may read from the buffer until the write is settled: only then may the pool have it back.
      await sending;
    }
    slot.sent();
    progress.sentBytes = from;
  }

  /** A wait for the limit is not the child's fault: the stall timeout stands still meanwhile. */
  async #draw(bytes: number): Promise<void> {
    const wait = this.#init.limiter?.take(bytes, { signal: this.#gone.signal });
    if (wait === undefined) return;
    this.#socket.setTimeout(0);
    await wait;
    this.#socket.setTimeout(this.#init.limits.sendStallTimeoutMs);
  }

  /** Resolves when the kernel has taken the bytes. Several parts leave in one system call. */
  #write(...parts: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const last = parts.length - 1;
      this.#socket.cork();
      for (const [index, part] of parts.entries()) {
        if (index < last) this.#socket.write(part);
        else
          this.#socket.write(part, (error) => {
            if (error) reject(new ConnectionGoneError('the child closed the connection', { cause: error }));
            else resolve();
          });
      }
      this.#socket.uncork();
    });
  }

  /** Nothing more is asked on this connection. */
  #refuse(code: PieceRefusal, message: string, packetId: number): false {
    this.#socket.write(encodeError(code, message, packetId));
    return false;
  }
}

/**
 * Whether the rest of a piece, at the rate so far, leaves so soon that the next upload may be prepared to follow without a gap; the first half
 * never counts as the rest.
 */
function isEnding(length: number, sentBytes: number, elapsedMs: number, leadMs: number): boolean {
  return sentBytes * 2 >= length && (length - sentBytes) * elapsedMs <= sentBytes * leadMs;
}

function halvesOf(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const halfBytes = bytes.length >>> 1;
  return [bytes.subarray(0, halfBytes), bytes.subarray(halfBytes, 2 * halfBytes)];
}
