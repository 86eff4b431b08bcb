import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { encodeClose, encodeError } from '@d7y/piece-codec';
import type { BufferPool } from '@d7y/service-kit';
import {
  content,
  createPool,
  headerOf,
  KIB,
  MemorySink,
  MIB,
  onRequest,
  startRawParent,
  TASK_ID,
  until,
} from './_rig.ts';
import type { RawParent } from './_rig.ts';
import {
  PieceDigestMismatchError,
  PieceMismatchError,
  PieceRefusedError,
  PieceStalledError,
  PieceTransferError,
} from './errors.ts';
import { createPieceClient } from './piece-client.ts';
import type { PieceClientOptions } from './piece-client.ts';
import type { PieceRequest, PieceSink } from './piece-transfer.ts';

const OFFSET = 12 * MIB;
const NEVER = new AbortController().signal;

function requestTo({ port }: { port: number }, length: number): PieceRequest {
  const expected = { offset: OFFSET, length };
  return { ip: '127.0.0.1', tcpPort: port, taskId: TASK_ID, kind: 'standard', number: 3, expected };
}

/** Fetches once, and checks afterwards that neither a buffer nor a socket is left behind. */
async function fetch(
  parent: RawParent,
  length: number,
  {
    pool = createPool(),
    sink = new MemorySink(OFFSET, length),
    signal = NEVER,
    onBytes,
    ...options
  }: Partial<PieceClientOptions> & {
    pool?: BufferPool;
    sink?: PieceSink;
    signal?: AbortSignal;
    onBytes?: (bytes: Uint8Array) => void;
  } = {},
) {
  const client = createPieceClient({ packetId: 42, ...options, bufferPool: pool });
  const buffersBefore = pool.inUse;
  try {
    return await client.fetchPiece(requestTo(parent, length), sink, { signal, onBytes });
  } finally {
    expect(pool.inUse).toBe(buffersBefore);
    expect(pool.waiting).toBe(0);
    await until(() => parent.sockets.size === 0);
  }
}

/** A parent that answers every request with these writes, and then half-closes. */
const parentSending = (...parts: readonly Uint8Array[]) =>
  startRawParent((socket) =>
    onRequest(socket, () => {
      for (const part of parts) socket.write(part);
      socket.end();
    }),
  );

describe('createPieceClient', () => {
  it.each([0, 1, 1000, 3000, 256 * KIB, 256 * KIB + 1, 4 * MIB])('receives a piece of %i bytes', async (length) => {
    const bytes = content(length);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const sink = new MemorySink(OFFSET, length);
    const piece = await fetch(parent, length, { sink });
    expect(piece).toMatchObject({ number: 3, offset: OFFSET, length });
    expect(piece.digest).toMatch(/^crc32:\d+$/);
    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('asks in the published form, with its packet id', async () => {
    const bytes = content(5);
    let asked = '';
    await using parent = await startRawParent((socket) =>
      onRequest(socket, (request) => {
        asked = request.toString('hex');
        socket.end(Buffer.concat([headerOf(bytes), bytes]));
      }),
    );
    await fetch(parent, 5);
    expect(asked).toBe(`2a0000000044${Buffer.from(TASK_ID).toString('hex')}00000003`);
  });

  it('receives a piece that comes in single bytes and odd runs', async () => {
    const bytes = content(10_000);
    const stream = Buffer.concat([headerOf(bytes), bytes]);
    await using parent = await startRawParent((socket) => {
      socket.setNoDelay(true);
      onRequest(socket, () => {
        let at = 0;
        const next = (): void => {
          const length = at < 200 ? 1 : 777;
          socket.write(stream.subarray(at, at + length));
          at += length;
          if (at < stream.length) setImmediate(next);
        };
        next();
      });
    });
    const sink = new MemorySink(OFFSET, bytes.length);
    await fetch(parent, bytes.length, { sink, pool: createPool(1000) });
    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('shows every byte once and in order to onBytes', async () => {
    const bytes = content(3 * MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const seen: Buffer[] = [];
    await fetch(parent, bytes.length, { onBytes: (run) => seen.push(Buffer.from(run)) });
    expect(Buffer.concat(seen).equals(bytes)).toBe(true);
  });

  it('computes the SHA-256 of the piece when it is asked to', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const client = createPieceClient({ packetId: 0, bufferPool: createPool() });
    const sink = new MemorySink(OFFSET, bytes.length);
    const piece = await client.fetchPiece(requestTo(parent, bytes.length), sink, { signal: NEVER, sha256: true });
    expect(piece.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect((await fetch(parent, bytes.length)).sha256).toBeUndefined();
  });

  it('weakness 37: draws every byte on all limiters, and reads nothing while one makes it wait', async () => {
    const bytes = content(4 * MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const grants: (() => void)[] = [];
    let drawn = 0;
    const total = { take: (count: number) => void (drawn += count) };
    const strict = { take: () => new Promise<void>((resolve) => grants.push(resolve)) };
    const client = createPieceClient({ packetId: 0, bufferPool: createPool(64 * KIB) });
    const sink = new MemorySink(OFFSET, bytes.length);
    const limiters = [total, strict];
    const piece = client.fetchPiece(requestTo(parent, bytes.length), sink, { signal: NEVER, limiters });
    while (drawn < bytes.length) {
      await until(() => grants.length === 1);
      const before = drawn;
      await new Promise((resolve) => setImmediate(resolve));
      expect(drawn).toBe(before);
      grants.shift()?.();
      await until(() => drawn > before || drawn >= bytes.length);
    }
    for (const grant of grants) grant();
    await piece;
    expect(drawn).toBeGreaterThanOrEqual(bytes.length);
    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('writes in batches as large as the pool has buffers', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const sink = new MemorySink(OFFSET, bytes.length);
    await fetch(parent, bytes.length, { sink, pool: createPool(256 * KIB) });
    expect(sink.writes).toBe(4);
  });

  it('fills one buffer while the other is written, and never takes a third', async () => {
    const bytes = content(2 * MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const pool = createPool(64 * KIB, 8);
    const sink = new MemorySink(OFFSET, bytes.length);
    let writing = 0;
    let mostWriting = 0;
    let mostBuffers = 0;
    sink.gate = async () => {
      writing += 1;
      mostWriting = Math.max(mostWriting, writing);
      await new Promise((resolve) => setTimeout(resolve, 1));
      mostBuffers = Math.max(mostBuffers, pool.inUse);
      writing -= 1;
    };
    await fetch(parent, bytes.length, { sink, pool });
    expect(sink.bytes.equals(bytes)).toBe(true);
    expect(mostWriting).toBe(2);
    expect(mostBuffers).toBe(2);
  });

  it('goes on with one buffer when the pool has no second', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const sink = new MemorySink(OFFSET, bytes.length);
    await fetch(parent, bytes.length, { sink, pool: createPool(64 * KIB, 1) });
    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('waits for a buffer without counting that against the parent', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const pool = createPool(64 * KIB, 1);
    const held = await pool.acquire();
    const sink = new MemorySink(OFFSET, bytes.length);
    const client = createPieceClient({
      packetId: 0,
      bufferPool: pool,
      progressFloor: { bytesPerSec: 1e9, windowMs: 5 },
    });
    const piece = client.fetchPiece(requestTo(parent, bytes.length), sink, { signal: NEVER });
    await until(() => pool.waiting === 1);
    await new Promise((resolve) => setTimeout(resolve, 30)); // six windows in which nothing is read
    held.release();
    await piece.catch(() => undefined); // at a floor of 1 GB/s it may stall later, which is no matter here
    expect(sink.writes).toBeGreaterThan(0);
    expect(pool.inUse).toBe(0);
  });

  it('accepts a piece whose parent has no digest', async () => {
    const bytes = content(100);
    await using parent = await parentSending(headerOf(bytes, { digest: '' }), bytes);
    expect((await fetch(parent, 100)).digest).toBe('');
  });

  it('ignores what a parent sends beyond the piece', async () => {
    const bytes = content(100);
    await using parent = await parentSending(headerOf(bytes), bytes, content(5000));
    const sink = new MemorySink(OFFSET, 100);
    await fetch(parent, 100, { sink });
    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('refuses bytes that do not match their digest, and keeps the last batch from the sink', async () => {
    const bytes = content(300 * KIB);
    const corrupt = Buffer.from(bytes);
    corrupt[1234] = (corrupt[1234] ?? 0) ^ 1;
    await using parent = await parentSending(headerOf(bytes), corrupt);
    const sink = new MemorySink(OFFSET, bytes.length);
    const error = await fetch(parent, bytes.length, { sink }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(PieceDigestMismatchError);
    expect(error).toMatchObject({
      code: 'PIECE_DIGEST_MISMATCH',
      retryable: true,
      parentAddress: `127.0.0.1:${parent.port}`,
      taskId: TASK_ID,
      pieceNumber: 3,
    });
    expect(sink.writes).toBe(1);
  });

  it.each([
    ['number', { number: 4 }],
    ['offset', { offset: 0 }],
    ['length', { length: 99 }],
    ['huge length', { length: 2 ** 50 }],
  ])('weakness 22: refuses a piece with another %s', async (_what, lie) => {
    const bytes = content(100);
    await using parent = await parentSending(headerOf(bytes, lie), bytes);
    await expect(fetch(parent, 100)).rejects.toBeInstanceOf(PieceMismatchError);
  });

  it('reports the reason of an error frame', async () => {
    await using parent = await parentSending(encodeError('notFound', 'no such piece', 0));
    await expect(fetch(parent, 100)).rejects.toMatchObject({
      code: 'PIECE_REFUSED',
      reason: 'notFound',
      reasonText: 'no such piece',
    });
    await expect(fetch(parent, 100)).rejects.toBeInstanceOf(PieceRefusedError);
  });

  it('refuses what is no answer', async () => {
    for (const noise of [encodeClose(0), Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), Buffer.alloc(100, 0xff)]) {
      await using parent = await parentSending(noise);
      await expect(fetch(parent, 100)).rejects.toMatchObject({ code: 'PIECE_TRANSFER', phase: 'header' });
    }
  });

  it.each([
    ['before the header', 0, 'header'],
    ['within the header', 50, 'header'],
    ['within the body', 400, 'body'],
  ])('notices a parent that hangs up %s', async (_when, sent, phase) => {
    const bytes = content(1000);
    const stream = Buffer.concat([headerOf(bytes), bytes]).subarray(0, sent);
    await using parent = await parentSending(stream);
    const error = await fetch(parent, 1000).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(PieceTransferError);
    expect(error).toMatchObject({ phase });
  });

  it.each([
    ['before the header', 0, 'header'],
    ['within the header', 50, 'header'],
    ['within the body', 400, 'body'],
  ])('notices a reset %s', async (_when, sent, phase) => {
    const bytes = content(1000);
    await using parent = await startRawParent((socket) =>
      onRequest(socket, () => {
        socket.write(Buffer.concat([headerOf(bytes), bytes]).subarray(0, sent), () => {
          setTimeout(() => socket.resetAndDestroy(), 20);
        });
      }),
    );
    await expect(fetch(parent, 1000)).rejects.toMatchObject({ code: 'PIECE_TRANSFER', phase });
  });

  it('notices that nobody listens', async () => {
    const parent = await startRawParent(() => undefined);
    await parent[Symbol.asyncDispose]();
    await expect(fetch(parent, 1000)).rejects.toMatchObject({ code: 'PIECE_TRANSFER', phase: 'connect' });
  });

  it('gives up on a parent that accepts and never answers', async () => {
    await using parent = await startRawParent((socket) => socket.resume());
    await expect(fetch(parent, 1000, { headerTimeoutMs: 20 })).rejects.toMatchObject({
      code: 'PIECE_TRANSFER',
      phase: 'header',
      message: expect.stringContaining('no answer within 20 ms'),
    });
  });

  it('weakness 35: gives up on a parent whose bytes stop or trickle', async () => {
    const bytes = content(MIB);
    await using parent = await startRawParent((socket) =>
      onRequest(socket, () => {
        socket.write(headerOf(bytes));
        const trickle = setInterval(() => socket.write(bytes.subarray(0, 10)), 5);
        socket.once('close', () => clearInterval(trickle));
      }),
    );
    const error = await fetch(parent, MIB, { progressFloor: { bytesPerSec: 64 * KIB, windowMs: 50 } }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(PieceStalledError);
    expect(error).toMatchObject({ code: 'PIECE_STALLED', retryable: true });
  });

  it('does not count a slow sink against the parent', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const sink = new MemorySink(OFFSET, MIB);
    sink.gate = () => new Promise((resolve) => setTimeout(resolve, 40));
    const progressFloor = { bytesPerSec: 64 * KIB, windowMs: 10 };
    await fetch(parent, MIB, { sink, pool: createPool(128 * KIB), progressFloor });
    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('fails with what the sink threw', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const full = new Error('no space');
    await expect(fetch(parent, MIB, { sink: { write: () => Promise.reject(full) } })).rejects.toBe(full);
    await using small = await parentSending(headerOf(content(10)), content(10));
    await expect(fetch(small, 10, { sink: { write: () => Promise.reject(full) } })).rejects.toBe(full);
  });

  it('fails with what onBytes threw', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const broken = new Error('hash');
    const onBytes = () => {
      throw broken;
    };
    await expect(fetch(parent, MIB, { onBytes })).rejects.toBe(broken);
  });

  it('stops at once when aborted, whatever it waits for', async () => {
    const bytes = content(MIB);
    const reason = new Error('nobody wants it any more');
    for (const sent of [0, 50, 100_000]) {
      const controller = new AbortController();
      await using parent = await startRawParent((socket) =>
        onRequest(socket, () => {
          socket.write(Buffer.concat([headerOf(bytes), bytes]).subarray(0, sent), () =>
            setTimeout(() => controller.abort(reason), 10),
          );
        }),
      );
      await expect(fetch(parent, MIB, { signal: controller.signal })).rejects.toBe(reason);
    }
  });

  it('lets go of its place in the queue for buffers when aborted', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const pool = createPool(64 * KIB, 1);
    const held = await pool.acquire();
    const controller = new AbortController();
    const piece = fetch(parent, MIB, { pool, signal: controller.signal });
    await until(() => pool.waiting === 1);
    controller.abort(new Error('stop'));
    await expect(piece).rejects.toThrow('stop');
    held.release();
    expect(pool.inUse).toBe(0);
  });

  it('keeps a buffer from the pool until the sink has let go of it', async () => {
    const bytes = content(MIB);
    await using parent = await parentSending(headerOf(bytes), bytes);
    const pool = createPool(64 * KIB, 4);
    const sink = new MemorySink(OFFSET, MIB);
    const gate = Promise.withResolvers<void>();
    sink.gate = () => gate.promise;
    const controller = new AbortController();
    const piece = createPieceClient({ packetId: 0, bufferPool: pool })
      .fetchPiece(requestTo(parent, MIB), sink, { signal: controller.signal })
      .catch((error: unknown) => error);
    await until(() => sink.writes === 2);
    controller.abort(new Error('stop'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(pool.inUse).toBe(2);
    gate.resolve();
    expect(await piece).toMatchObject({ message: 'stop' });
    expect(pool.inUse).toBe(0);
  });

  it('does not begin when it was aborted before', async () => {
    await using parent = await parentSending();
    const reason = new Error('too late');
    await expect(fetch(parent, 10, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
