import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, it } from '@jest/globals';
import { pieceDigest } from '@d7y/piece';
import { content, createPool, headerOf, KIB, logger, MIB, onRequest, startRawParent, TASK_ID, until } from './_rig.ts';
import { PieceDigestMismatchError, PieceReceiverLostError, PieceTransferError } from './errors.ts';
import type { PieceRequest, PieceSink, SinkFile } from './piece-transfer.ts';
import { createThreadedPieceClient } from './threaded-piece-client.ts';

const NEVER = new AbortController().signal;
const PIECE = MIB;
const scratch = join(tmpdir(), `threaded-${process.pid}`);
afterAll(() => rmSync(scratch, { force: true }));

/** A file of a task, which knows whether it is open and what was asked of it. */
class TestFile implements PieceSink {
  readonly path: string;
  opened = 0;
  closed = 0;
  recoveries: unknown[] = [];
  constructor(path = scratch) {
    this.path = path;
    closeSync(openSync(path, 'a'));
  }
  write(): Promise<void> {
    return Promise.reject(new Error('the file is written by the thread'));
  }
  openFile(): Promise<SinkFile> {
    this.opened++;
    const fd = openSync(this.path, 'r+');
    return Promise.resolve({
      fd,
      wrote: () => undefined,
      recover: (error) => {
        this.recoveries.push(error);
        return Promise.reject(new Error('translated', { cause: error }));
      },
      [Symbol.dispose]: () => {
        this.closed++;
        closeSync(fd);
      },
    });
  }
}

const createClient = () =>
  createThreadedPieceClient({ bufferPool: createPool(64 * KIB), packetId: 7, logger, threads: 1 });

function requestTo({ port }: { port: number }, number: number, length = PIECE): PieceRequest {
  const expected = { offset: number * PIECE, length };
  return { ip: '127.0.0.1', tcpPort: port, taskId: TASK_ID, kind: 'standard', number, expected };
}

/** A parent that has the pieces of `bytes`; `spoil` may change what it sends. */
const parentOf = (bytes: Buffer, spoil: (number: number, piece: Buffer) => Buffer = (_number, piece) => piece) =>
  startRawParent((socket) =>
    onRequest(socket, (request) => {
      const number = request.readUInt32BE(70);
      const piece = bytes.subarray(number * PIECE, (number + 1) * PIECE);
      const digest = pieceDigest(crc32(piece));
      socket.write(headerOf(piece, { number, offset: number * PIECE, digest }));
      socket.end(spoil(number, piece));
    }),
  );

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('createThreadedPieceClient', () => {
  it('writes pieces into the file, in any order, and hashes each and the whole', async () => {
    const bytes = content(5 * PIECE);
    await using parent = await parentOf(bytes);
    await using client = createClient();
    const file = new TestFile();
    await using hash = client.hash(TASK_ID, 'sha256', () => file.openFile());
    for (const number of [0, 1, 3, 2, 4]) {
      const options = { signal: NEVER, sha256: true };
      const piece = await client.fetchPiece(requestTo(parent, number), file, options);
      expect(piece.sha256).toBe(sha256(bytes.subarray(number * PIECE, (number + 1) * PIECE)));
      if (number === 2) await hash.advance(4 * PIECE);
    }
    expect(await hash.digest(5 * PIECE)).toBe(`sha256:${sha256(bytes)}`);
    expect(readFileSync(file.path).equals(bytes)).toBe(true);
    expect([file.opened, file.closed]).toEqual([6, 5]);
  });

  it('hashes a part of a file, and says so when there is not as much', async () => {
    const bytes = content(3 * MIB);
    const path = join(tmpdir(), `part-${process.pid}`);
    writeFileSync(path, bytes);
    const fd = openSync(path, 'r');
    await using client = createClient();
    const hashed = await client.hashPart(TASK_ID, 'sha256', fd, { start: MIB + 1, end: 3 * MIB });
    const expected = createHash('sha256').update(bytes.subarray(MIB + 1));
    expect(hashed).toBe(expected.digest('hex'));
    await expect(client.hashPart(TASK_ID, 'sha256', fd, { start: 0, end: 4 * MIB })).rejects.toThrow(
      'the file ends at',
    );
    closeSync(fd);
    rmSync(path);
  });

  it('draws what arrives on the limiters, and waits for the last one before a piece counts', async () => {
    const bytes = content(PIECE);
    await using parent = await parentOf(bytes);
    await using client = createClient();
    let drawn = 0;
    let grant = (): void => undefined;
    const limiter = {
      take: (count: number) => {
        drawn += count;
        return drawn < PIECE ? undefined : new Promise<void>((resolve) => (grant = resolve));
      },
    };
    let isDone = false;
    const piece = client.fetchPiece(requestTo(parent, 0), new TestFile(), { signal: NEVER, limiters: [limiter] });
    void piece.then(() => (isDone = true));
    await until(() => drawn >= PIECE);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isDone).toBe(false);
    grant();
    await piece;
  });

  it('forgets what passed through when the bytes prove wrong, and hashes those that come instead', async () => {
    const bytes = content(3 * PIECE);
    let isSpoiling = true;
    await using parent = await parentOf(bytes, (number, piece) => {
      if (number !== 1 || !isSpoiling) return piece;
      isSpoiling = false;
      return Buffer.concat([piece.subarray(0, -1), Buffer.of((piece.at(-1) ?? 0) ^ 1)]);
    });
    await using client = createClient();
    const file = new TestFile();
    await using hash = client.hash(TASK_ID, 'sha256', () => file.openFile());
    const fetch = (number: number) => client.fetchPiece(requestTo(parent, number), file, { signal: NEVER });
    await fetch(0);
    await expect(fetch(1)).rejects.toThrow(PieceDigestMismatchError);
    await fetch(1);
    await fetch(2);
    hash.forget(PIECE); // somebody found that piece 1 is not what was vouched for
    await fetch(1);
    expect(await hash.digest(3 * PIECE)).toBe(`sha256:${sha256(bytes)}`);
  });

  it('fails with what the store says of a write that failed', async () => {
    await using parent = await parentOf(content(PIECE));
    await using client = createClient();
    const full = new TestFile('/dev/full');
    const piece = client.fetchPiece(requestTo(parent, 0), full, { signal: NEVER });
    await expect(piece).rejects.toThrow('translated');
    expect(full.recoveries).toMatchObject([{ code: 'ENOSPC' }]);
    expect([full.opened, full.closed]).toEqual([1, 1]);
  });

  it('names what a parent did wrong like a client without threads', async () => {
    await using client = createClient();
    const nobody = { port: 1 };
    const piece = client.fetchPiece(requestTo(nobody, 0), new TestFile(), { signal: NEVER });
    await expect(piece).rejects.toThrow(PieceTransferError);
    await expect(piece).rejects.toMatchObject({ phase: 'connect', pieceNumber: 0, parentAddress: '127.0.0.1:1' });
  });

  it('stops in the middle of a piece when aborted, and keeps the file open until then', async () => {
    await using parent = await startRawParent((socket) =>
      onRequest(socket, () =>
        socket.write(Buffer.concat([headerOf(content(PIECE), { number: 0, offset: 0 }), content(PIECE / 2)])),
      ),
    );
    await using client = createClient();
    const file = new TestFile();
    const abort = new AbortController();
    const piece = client.fetchPiece(requestTo(parent, 0), file, { signal: abort.signal });
    await until(() => file.opened === 1);
    abort.abort(new Error('not needed'));
    await expect(piece).rejects.toThrow('not needed');
    expect(file.closed).toBe(1);
    await until(() => parent.sockets.size === 0);
  });

  it('fails what was under way when its thread ends, and gives the files back', async () => {
    await using parent = await startRawParent(() => undefined);
    const client = createClient();
    const file = new TestFile();
    const piece = client.fetchPiece(requestTo(parent, 0), file, { signal: NEVER });
    piece.catch(() => undefined);
    await until(() => parent.sockets.size === 1);
    await client[Symbol.asyncDispose]();
    await expect(piece).rejects.toThrow(PieceReceiverLostError);
    expect(file.opened).toBe(file.closed);
    await expect(client.fetchPiece(requestTo(parent, 0), file, { signal: NEVER })).rejects.toThrow(
      PieceReceiverLostError,
    );
  });

  it('replaces a thread that died, and hashes anew what that one had hashed', async () => {
    const bytes = content(3 * PIECE);
    await using parent = await parentOf(bytes);
    await using client = createClient();
    const file = new TestFile();
    await using hash = client.hash(TASK_ID, 'sha256', () => file.openFile());
    await client.fetchPiece(requestTo(parent, 0), file, { signal: NEVER });
    await hash.advance(PIECE);
    // A message that the thread cannot read ends it as a bug in it would.
    const broken = client.fetchPiece({ ...requestTo(parent, 1), taskId: TASK_ID, expected: null as never }, file, {
      signal: NEVER,
    });
    await expect(broken).rejects.toThrow(Error);
    for (const number of [1, 2]) await client.fetchPiece(requestTo(parent, number), file, { signal: NEVER });
    expect(await hash.digest(3 * PIECE)).toBe(`sha256:${sha256(bytes)}`);
  });
});
