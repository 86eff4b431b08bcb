import { once } from 'node:events';
import * as net from 'node:net';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { pieceDigest } from '@d7y/piece';
import type { PieceMetadata } from '@d7y/piece-codec';
import { encodePieceRequest, PieceAnswerDecoder } from '@d7y/piece-codec';
import { content, createPool, KIB, logger, MemorySink, MemorySource, MIB, TASK_ID, until } from './_rig.ts';
import { createPieceClient } from './piece-client.ts';
import type { PieceServerOptions } from './piece-server.ts';
import { startPieceServer } from './piece-server.ts';
import type { PieceSource } from './piece-transfer.ts';

const NEVER = new AbortController().signal;
const request = (number: number) => encodePieceRequest('standard', TASK_ID, number, 42);

async function start(source: PieceSource, options: Partial<PieceServerOptions> = {}) {
  const bufferPool = options.bufferPool ?? createPool(512 * KIB, 4);
  // Children that say nothing of whether they want more are sent away at once, but where a test is about that.
  const limits = { keepAliveMs: 0, ...options.limits };
  const server = await startPieceServer({ host: '127.0.0.1', port: 0, source, logger, ...options, limits, bufferPool });
  return {
    port: server.port,
    pool: bufferPool,
    load: () => server.load(),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      expect(bufferPool.inUse).toBe(0);
      expect(server.load()).toEqual({ connections: 0, uploads: 0 });
    },
  };
}

/** A child made of a plain socket; `bytes` is everything it received once the server has hung up. */
function connect(port: number, options: Partial<net.TcpNetConnectOpts> = {}) {
  const socket = net.connect({ host: '127.0.0.1', port, ...options });
  const chunks: Buffer[] = [];
  const received = new Promise<Buffer>((resolve) => socket.once('close', () => resolve(Buffer.concat(chunks))));
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  return { socket, received, receivedBytes: () => chunks.reduce((sum, { length }) => sum + length, 0) };
}

/** Takes an answer apart. */
function parse(bytes: Buffer): { meta: PieceMetadata; body: Buffer } {
  const { consumed, frame } = new PieceAnswerDecoder().push(bytes);
  if (frame?.kind !== 'content') throw new Error(`no content: ${JSON.stringify(frame)}`);
  return { meta: frame.meta, body: bytes.subarray(consumed) };
}

describe('startPieceServer', () => {
  it('sends a piece in the published form and hangs up', async () => {
    const bytes = content(3 * MIB);
    const source = new MemorySource(4 * MIB, [content(4 * MIB, 2), bytes]);
    await using server = await start(source);
    const child = connect(server.port);
    child.socket.write(request(1));
    const { meta, body } = parse(await child.received);
    expect(meta).toEqual({
      number: 1,
      offset: 4 * MIB,
      length: 3 * MIB,
      digest: pieceDigest(crc32(bytes)),
      parentId: '',
      trafficType: 'remotePeer',
      costMs: 1000,
      createdAtMs: 1_700_000_000_000,
    });
    expect(body.equals(bytes)).toBe(true);
    expect(source.asked).toEqual([{ kind: 'standard', number: 1, child: { ip: '127.0.0.1', packetId: 42 } }]);
    expect(source.closed).toEqual([{ number: 1, sentBytes: 3 * MIB, error: undefined }]);
  });

  it('draws every byte it sends on the limiter, and waits for it', async () => {
    const source = new MemorySource(4 * MIB, [content(MIB)]);
    const drawn: number[] = [];
    let grant = (): void => undefined;
    const limiter = {
      take: (bytes: number) => {
        drawn.push(bytes);
        return drawn.length === 1 ? new Promise<void>((resolve) => (grant = resolve)) : undefined;
      },
    };
    await using server = await start(source, { limiter });
    const child = connect(server.port);
    child.socket.write(request(0));
    await until(() => drawn.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect([drawn.length, child.receivedBytes()]).toEqual([1, 0]);
    grant();
    expect(parse(await child.received).body).toHaveLength(MIB);
    expect(drawn.reduce((sum, bytes) => sum + bytes, 0)).toBe(MIB);
  });

  it('goes on sending to a child that half-closed when it had the description', async () => {
    const bytes = content(16 * MIB);
    const source = new MemorySource(16 * MIB, [bytes]);
    await using server = await start(source);
    const child = connect(server.port, { allowHalfOpen: true });
    child.socket.write(request(0));
    await once(child.socket, 'data');
    child.socket.pause();
    child.socket.end();
    await once(child.socket, 'finish');
    await until(() => server.load().uploads === 1);
    child.socket.resume();
    expect(parse(await child.received).body.equals(bytes)).toBe(true);
  });

  it('answers a child that half-closed with its request', async () => {
    const bytes = content(MIB);
    await using server = await start(new MemorySource(MIB, [bytes]));
    const child = connect(server.port, { allowHalfOpen: true });
    child.socket.end(request(0));
    expect(parse(await child.received).body.equals(bytes)).toBe(true);
  });

  it('reads a request that comes byte by byte', async () => {
    const bytes = content(10);
    await using server = await start(new MemorySource(MIB, [bytes]));
    const child = connect(server.port, { noDelay: true });
    for (const byte of request(0)) {
      child.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(parse(await child.received).body.equals(bytes)).toBe(true);
  });

  it.each([0, 1, 256 * KIB, 256 * KIB + 1, 4 * MIB])('serves its own client a piece of %i bytes', async (length) => {
    const bytes = content(length);
    await using server = await start(new MemorySource(length, [bytes]));
    const pool = createPool();
    const sink = new MemorySink(0, length);
    const piece = await createPieceClient({ packetId: 9, bufferPool: pool }).fetchPiece(
      {
        ip: '127.0.0.1',
        tcpPort: server.port,
        taskId: TASK_ID,
        kind: 'standard',
        number: 0,
        expected: { offset: 0, length },
      },
      sink,
      { signal: NEVER },
    );
    expect(piece.digest).toBe(pieceDigest(crc32(bytes)));
    expect(sink.bytes.equals(bytes)).toBe(true);
    expect(pool.inUse).toBe(0);
  });

  it('says not found of a piece it does not have', async () => {
    await using server = await start(new MemorySource(MIB, []));
    const child = connect(server.port);
    child.socket.write(request(5));
    const { frame } = new PieceAnswerDecoder().push(await child.received);
    expect(frame).toMatchObject({ kind: 'error', code: 'notFound', packetId: 42 });
  });

  it('says internal when the piece cannot be opened', async () => {
    const source = new MemorySource(MIB, [content(10)]);
    source.gate = () => Promise.reject(new Error('the disk is on fire'));
    await using server = await start(source);
    const child = connect(server.port);
    child.socket.write(request(0));
    const { frame } = new PieceAnswerDecoder().push(await child.received);
    expect(frame).toMatchObject({ kind: 'error', code: 'internal' });
    expect(JSON.stringify(frame)).not.toContain('fire');
  });

  it('closes without an answer when the tag is unknown', async () => {
    await using server = await start(new MemorySource(MIB, []));
    for (const noise of [Buffer.from([0, 9, 0, 0, 0, 68]), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
      const child = connect(server.port);
      child.socket.write(noise);
      expect(await child.received).toHaveLength(0);
    }
  });

  it('says invalid argument to a request of the wrong form', async () => {
    await using server = await start(new MemorySource(MIB, []));
    for (const wrong of [
      Buffer.from([0, 0, 0, 0, 0, 69]),
      Buffer.concat([request(0).subarray(0, 6), Buffer.alloc(68)]),
    ]) {
      const child = connect(server.port);
      child.socket.write(wrong);
      const { frame } = new PieceAnswerDecoder().push(await child.received);
      expect(frame).toMatchObject({ kind: 'error', code: 'invalidArgument' });
    }
  });

  it('weakness 12: hangs up on a child that does not send its request in time', async () => {
    await using server = await start(new MemorySource(MIB, []), { limits: { requestTimeoutMs: 20 } });
    for (const start of [0, 30]) {
      const child = connect(server.port);
      child.socket.write(request(0).subarray(0, start));
      expect(await child.received).toHaveLength(0);
    }
  });

  it('hangs up on a child that takes nothing any more', async () => {
    const source = new MemorySource(32 * MIB, [content(32 * MIB)]);
    await using server = await start(source, { limits: { sendStallTimeoutMs: 50 } });
    const child = connect(server.port);
    child.socket.write(request(0));
    await once(child.socket, 'data');
    child.socket.pause();
    await until(() => source.closed.length === 1);
    expect(source.closed[0]?.error).toBeInstanceOf(Error);
    expect(server.pool.inUse).toBe(0);
    child.socket.destroy();
  });

  it('ends an upload whose child is gone, and tells the source', async () => {
    const source = new MemorySource(32 * MIB, [content(32 * MIB)]);
    await using server = await start(source);
    const child = connect(server.port);
    child.socket.write(request(0));
    await once(child.socket, 'data');
    child.socket.resetAndDestroy();
    await until(() => source.closed.length === 1);
    expect(source.closed[0]?.error).toBeInstanceOf(Error);
    expect(source.closed[0]?.sentBytes).toBeLessThan(32 * MIB);
  });

  it('ends an upload whose content ends early', async () => {
    const bytes = content(MIB);
    const source = new MemorySource(MIB, [bytes]);
    await using server = await start({
      async openPiece(...args) {
        const upload = await source.openPiece(...args);
        return upload && { ...upload, read: (from: number) => Promise.resolve(from === 0 ? 1000 : 0) };
      },
    });
    const child = connect(server.port);
    child.socket.write(request(0));
    expect((await child.received).length).toBeLessThan(MIB);
    expect(source.closed[0]?.error).toMatchObject({ message: expect.stringContaining('early') });
  });

  it('gives up the wait for a piece when the child is gone', async () => {
    const source = new MemorySource(MIB, [content(10)]);
    let aborted = false;
    source.gate = (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true;
          reject(signal.reason as Error);
        });
      });
    await using server = await start(source);
    const child = connect(server.port);
    child.socket.write(request(0));
    await until(() => source.asked.length === 1);
    child.socket.resetAndDestroy();
    await until(() => aborted);
  });

  it('refuses a piece for which it would wait too long', async () => {
    const source = new MemorySource(MIB, [content(10)]);
    const opened = Promise.withResolvers<void>();
    source.gate = () => opened.promise;
    await using server = await start(source, { limits: { pieceWaitTimeoutMs: 20 } });
    const child = connect(server.port);
    child.socket.write(request(0));
    const { frame } = new PieceAnswerDecoder().push(await child.received);
    expect(frame).toMatchObject({ kind: 'error', code: 'internal' });
    opened.resolve(); // the upload that comes too late is closed all the same
    await until(() => source.closed.length === 1);
  });

  it('lets uploads above the limit wait their turn, and refuses those above the queue', async () => {
    const bytes = content(16 * MIB);
    const source = new MemorySource(16 * MIB, [bytes, content(10), content(10)]);
    await using server = await start(source, { limits: { maxUploads: 1, maxQueuedUploads: 1 } });
    const first = connect(server.port);
    first.socket.write(request(0));
    await once(first.socket, 'data');
    first.socket.pause();
    const second = connect(server.port);
    second.socket.write(request(1));
    await until(() => source.asked.length === 2);
    const third = connect(server.port);
    third.socket.write(request(2));
    const { frame } = new PieceAnswerDecoder().push(await third.received);
    expect(frame).toMatchObject({ kind: 'error', message: 'too many uploads' });
    expect(second.receivedBytes()).toBe(0);
    first.socket.resume();
    expect(parse(await first.received).body.equals(bytes)).toBe(true);
    expect(parse(await second.received).body).toHaveLength(10);
  });

  it('accepts no more connections than its limit', async () => {
    await using server = await start(new MemorySource(MIB, []), { limits: { maxConnections: 1 } });
    const first = connect(server.port);
    await until(() => server.load().connections === 1);
    const second = connect(server.port);
    expect(await second.received).toHaveLength(0);
    first.socket.destroy();
  });

  it('lets running uploads end when disposed, and drops idle connections', async () => {
    const bytes = content(16 * MIB);
    const source = new MemorySource(16 * MIB, [bytes]);
    const server = await start(source);
    const idle = connect(server.port);
    const child = connect(server.port);
    child.socket.write(request(0));
    await once(child.socket, 'data');
    child.socket.pause();
    await until(() => server.load().connections === 2);
    const disposed = server[Symbol.asyncDispose]();
    expect(await idle.received).toHaveLength(0);
    child.socket.resume();
    expect(parse(await child.received).body.equals(bytes)).toBe(true);
    await disposed;
  });

  it('cuts uploads off that do not end within the drain time', async () => {
    const source = new MemorySource(32 * MIB, [content(32 * MIB)]);
    const server = await start(source, { limits: { drainMs: 20 } });
    const child = connect(server.port);
    child.socket.write(request(0));
    await once(child.socket, 'data');
    child.socket.pause();
    await server[Symbol.asyncDispose]();
    expect(source.closed).toHaveLength(1);
    child.socket.destroy();
  });

  it('fails with the error of the system when the port is taken', async () => {
    await using server = await start(new MemorySource(MIB, []));
    await expect(start(new MemorySource(MIB, []), { port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
