import { once } from 'node:events';
import * as net from 'node:net';
import { crc32 } from 'node:zlib';
import { pieceDigest } from '@d7y/piece';
import { encodePieceHeader } from '@d7y/piece-codec';
import { BufferPool, createLogger } from '@d7y/service-kit';
import type { PieceSink, PieceSource, PieceUpload } from './piece-transfer.ts';

export const TASK_ID = '5844f27a257287e9b734256bb25603d8005422ced8c0377f15063ec11963b25f';
export const logger = createLogger({ name: 'test', level: 'silent' });
export const KIB = 1024;
export const MIB = 1024 * KIB;

export const createPool = (bufferBytes = 256 * KIB, maxBuffers = 8) => new BufferPool({ bufferBytes, maxBuffers });

/** Bytes that repeat nowhere near a buffer boundary, so that a misplaced run shows. */
export function content(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed >>> 0 || 1;
  for (let index = 0; index < length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state & 0xff;
  }
  return bytes;
}

/** What a parent puts in front of the bytes of a piece. */
export function headerOf(
  bytes: Uint8Array,
  { number = 3, offset = 12 * MIB, length = bytes.length, digest = pieceDigest(crc32(bytes)), packetId = 7 } = {},
): Uint8Array {
  const times = { costMs: 0, createdAtMs: 1_700_000_000_000 };
  const meta = { number, offset, length, digest, parentId: '', trafficType: 'remotePeer', ...times } as const;
  return encodePieceHeader('standard', meta, packetId);
}

/** A sink in memory for one piece that starts at `position`. */
export class MemorySink implements PieceSink {
  readonly position: number;
  readonly bytes: Buffer;
  writes = 0;
  /** Awaited before each write counts as done. */
  gate: () => Promise<void> = () => Promise.resolve();
  constructor(position: number, length: number) {
    this.position = position;
    this.bytes = Buffer.alloc(length);
  }
  async write(position: number, runs: readonly Uint8Array[]): Promise<void> {
    this.writes += 1;
    await this.gate();
    let at = position - this.position;
    for (const run of runs) {
      this.bytes.set(run, at);
      at += run.length;
    }
  }
}

/** A parent made of a plain TCP server. Connections that are open show in `sockets`. */
export interface RawParent extends AsyncDisposable {
  readonly port: number;
  readonly sockets: ReadonlySet<net.Socket>;
}

export async function startRawParent(serve: (socket: net.Socket) => void): Promise<RawParent> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('end', () => socket.end());
    socket.once('close', () => sockets.delete(socket));
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Runs once the whole request is there. */
export function onRequest(socket: net.Socket, answer: (request: Buffer) => void): void {
  let received = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk]);
    if (received.length < 74) return;
    socket.off('data', onData);
    socket.resume();
    answer(received);
  };
  socket.on('data', onData);
}

/** One task in memory behind a piece server; remembers what was asked and how uploads ended. */
export class MemorySource implements PieceSource {
  readonly pieces = new Map<number, Buffer>();
  readonly asked: { kind: string; number: number; child: { ip: string; packetId: number } }[] = [];
  readonly closed: { number: number; sentBytes: number; error: unknown }[] = [];
  readonly pieceLength: number;
  /** Awaited before a piece is opened. */
  gate: (signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  constructor(pieceLength: number, pieces: readonly Buffer[]) {
    this.pieceLength = pieceLength;
    for (const [number, bytes] of pieces.entries()) this.pieces.set(number, bytes);
  }
  async openPiece(
    kind: string,
    taskId: string,
    number: number,
    child: { readonly ip: string; readonly packetId: number },
    { signal }: { signal: AbortSignal },
  ): Promise<PieceUpload | undefined> {
    this.asked.push({ kind, number, child });
    await this.gate(signal);
    const bytes = this.pieces.get(number);
    if (bytes === undefined || taskId !== TASK_ID) return undefined;
    return {
      number,
      offset: number * this.pieceLength,
      length: bytes.length,
      digest: pieceDigest(crc32(bytes)),
      parentId: '',
      costMs: 1500,
      createdAtMs: 1_700_000_000_000,
      read: (from, target) => Promise.resolve(bytes.copy(target, 0, from)),
      close: (sentBytes, error) => this.closed.push({ number, sentBytes, error }),
    };
  }
}

/** Waits for a condition that other sockets of this process bring about. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('the condition did not come true');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
