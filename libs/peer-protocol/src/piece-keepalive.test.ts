import { once } from 'node:events';
import * as net from 'node:net';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { encodePieceRequest, PieceAnswerDecoder } from '@d7y/piece-codec';
import { pieceDigest } from '@d7y/piece';
import {
  content,
  createPool,
  headerOf,
  KIB,
  logger,
  MemorySink,
  MemorySource,
  onRequest,
  startRawParent,
} from './_rig.ts';
import { TASK_ID, until } from './_rig.ts';
import { CA_PEM, CERT_PEM, KEY_PEM } from './_tls.ts';
import { createPieceClient, type PieceClientOptions } from './piece-client.ts';
import { type PieceServerLimits, type PieceServerOptions, startPieceServer } from './piece-server.ts';
import type { PieceClient, PieceRequest } from './piece-transfer.ts';

const NEVER = new AbortController().signal;
const PIECE = 300 * KIB;
const PIECES = Array.from({ length: 6 }, (_, number) => content(PIECE, number + 1));

const start = (limits: Partial<PieceServerLimits> = {}, options: Partial<PieceServerOptions> = {}) =>
  startPieceServer({
    ...{ host: '127.0.0.1', port: 0, source: new MemorySource(PIECE, PIECES), bufferPool: createPool(), logger },
    ...{ limits: { drainMs: 0, ...limits }, ...options },
  });

const createClient = (options: Partial<PieceClientOptions> = {}) =>
  createPieceClient({ bufferPool: createPool(64 * KIB), packetId: 1, ...options });

const requestTo = ({ port }: { port: number }, number: number, keepsAlive = true): PieceRequest => ({
  ...{ ip: '127.0.0.1', tcpPort: port, taskId: TASK_ID, kind: 'standard', number, keepsAlive },
  expected: { offset: number * PIECE, length: PIECE },
});

/** Fetches a piece and checks it. */
async function fetch(client: PieceClient, parent: { port: number }, number: number, keepsAlive = true): Promise<void> {
  const sink = new MemorySink(number * PIECE, PIECE);
  await client.fetchPiece(requestTo(parent, number, keepsAlive), sink, { signal: NEVER });
  expect(sink.bytes.equals(PIECES[number] ?? Buffer.alloc(0))).toBe(true);
}

/** A parent whose connections serve pieces one after the other; `serve` may end one when it is asked. */
function startCounting(
  serve: (socket: net.Socket, request: { connection: number; nth: number }) => 'answer' | 'close',
) {
  let connections = 0;
  return startRawParent((socket) => {
    const connection = ++connections;
    const listen = (nth: number): void =>
      onRequest(socket, (request) => {
        if (serve(socket, { connection, nth }) === 'close') return void socket.destroy();
        const number = request.readUInt32BE(70);
        const bytes = PIECES[number] ?? Buffer.alloc(0);
        socket.write(headerOf(bytes, { number, offset: number * PIECE, digest: pieceDigest(crc32(bytes)) }));
        socket.write(bytes);
        listen(nth + 1);
      });
    listen(1);
  });
}

describe('connections of a piece client', () => {
  it.each([false, true])(
    'carry one piece after the other to a parent that keeps them alive (TLS: %s)',
    async (isSecure) => {
      const material = { ca: Buffer.from(CA_PEM), cert: Buffer.from(CERT_PEM), key: Buffer.from(KEY_PEM) };
      const tls = { current: material, onChange: () => ({ [Symbol.dispose]: () => undefined }) };
      await using server = await start({}, isSecure ? { tls } : {});
      using client = createClient(
        isSecure ? { tls: { ca: CA_PEM, cert: CERT_PEM, key: KEY_PEM, servername: 'scheduler.example' } } : {},
      );
      for (const number of [0, 3, 1]) {
        await fetch(client, server, number);
        expect(server.load().connections).toBe(1);
      }
      // As many as pieces are under way, and no more.
      await Promise.all([2, 4].map((number) => fetch(client, server, number)));
      expect(server.load().connections).toBe(2);
      await fetch(client, server, 5);
      expect(server.load().connections).toBe(2);
      client[Symbol.dispose]();
      await until(() => server.load().connections === 0);
    },
  );

  it('carry one piece each to a parent that is not known to keep them alive', async () => {
    const seen: number[] = [];
    await using parent = await startCounting((_socket, { connection }) => (seen.push(connection), 'answer'));
    using client = createClient();
    for (const number of [0, 1]) {
      await fetch(client, parent, number, false);
      await until(() => parent.sockets.size === 0);
    }
    expect(seen).toEqual([1, 2]);
  });

  it('are replaced by new ones when the parent closes them as they are used again', async () => {
    const seen: string[] = [];
    await using parent = await startCounting((_socket, { connection, nth }) => {
      seen.push(`${connection}.${nth}`);
      return nth === 2 ? 'close' : 'answer';
    });
    using client = createClient();
    for (const number of [0, 1]) await fetch(client, parent, number);
    expect(seen).toEqual(['1.1', '1.2', '2.1']);
  });

  it('are not used again when more came than was asked for', async () => {
    const seen: string[] = [];
    await using parent = await startCounting((socket, { connection, nth }) => {
      seen.push(`${connection}.${nth}`);
      setImmediate(() => socket.write('more'));
      return 'answer';
    });
    using client = createClient();
    await fetch(client, parent, 0);
    await until(() => parent.sockets.size === 0);
    await fetch(client, parent, 1);
    expect(seen).toEqual(['1.1', '2.1']);
  });

  it('are closed when a transfer is aborted or refused, and after a while of rest', async () => {
    await using server = await start();
    using client = createClient({ idleTimeoutMs: 20 });
    await fetch(client, server, 0);
    await until(() => server.load().connections === 0);
    const absent = { ...requestTo(server, 9), expected: { offset: 9 * PIECE, length: PIECE } };
    await expect(client.fetchPiece(absent, new MemorySink(9 * PIECE, PIECE), { signal: NEVER })).rejects.toThrow(
      'is not here',
    );
    const abort = new AbortController();
    const sink = new MemorySink(0, PIECE);
    sink.gate = () => Promise.resolve(abort.abort(new Error('enough')));
    await expect(client.fetchPiece(requestTo(server, 0), sink, { signal: abort.signal })).rejects.toThrow('enough');
    await until(() => server.load().connections === 0);
  });
});

describe('a piece server', () => {
  const request = (number: number) => encodePieceRequest('standard', TASK_ID, number, 42);

  /** Asks for pieces on one connection. @returns how many bytes came until the server hung up */
  async function ask(port: number, ...frames: readonly Uint8Array[]): Promise<number> {
    const socket = net.connect({ host: '127.0.0.1', port });
    let bytes = 0;
    socket.on('data', (chunk) => (bytes += chunk.length));
    socket.write(Buffer.concat(frames));
    await once(socket, 'close');
    return bytes;
  }

  it('answers requests that came before it was done with the one before, and hangs up when no other follows', async () => {
    await using server = await start({ keepAliveMs: 20 });
    expect(await ask(server.port, request(0), request(1))).toBeGreaterThan(2 * PIECE);
  });

  it('hangs up after what it refuses, and after what is no request', async () => {
    await using server = await start();
    expect(await ask(server.port, request(9), request(0))).toBeLessThan(PIECE);
    const noise = await ask(server.port, request(0), Buffer.alloc(100, 0xff));
    expect(noise).toBeGreaterThan(PIECE);
    expect(noise).toBeLessThan(PIECE + KIB);
  });

  it('keeps no connection while half of its places are taken, or it is being disposed', async () => {
    await using crowded = await start({ maxConnections: 2 });
    const other = net.connect({ host: '127.0.0.1', port: crowded.port });
    await until(() => crowded.load().connections === 1);
    expect(await ask(crowded.port, request(0))).toBeGreaterThan(PIECE);
    other.destroy();

    const server = await start({ drainMs: 60_000 });
    const socket = net.connect({ host: '127.0.0.1', port: server.port });
    socket.write(request(0));
    const answer = new PieceAnswerDecoder();
    const [first] = (await once(socket, 'data')) as [Buffer];
    expect(answer.push(first).frame?.kind).toBe('content');
    socket.resume();
    const closed = once(socket, 'close');
    await server[Symbol.asyncDispose]();
    await closed;
  });
});
