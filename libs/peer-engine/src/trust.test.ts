import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pieceDigestOf, pieceRange } from '@d7y/piece';
import { FakeCluster, layoutOf, MIB, requestOf } from './_swarm.ts';
import type { Engine, EngineOptions, TaskStream, VoucherBatch } from './index.ts';
import { taskIdOfRequest } from './index.ts';
import { MemoryOrigin, MemorySwarm, MemoryTaskStore } from './testing/index.ts';

const signal = new AbortController().signal;
const TIMEOUTS = { instructionMs: 300, starvationMs: 300, seedMs: 300, reconnectMs: 20 };

let origin: MemoryOrigin;
let cluster: FakeCluster;
let swarm: MemorySwarm;

beforeEach(() => {
  origin = new MemoryOrigin();
  swarm = new MemorySwarm();
  newCluster();
});

afterEach(() => closeAll());

function newCluster(options: Partial<EngineOptions> = {}): void {
  cluster = new FakeCluster(origin, TIMEOUTS, options);
  cluster.swarm = swarm;
}

async function closeAll(): Promise<void> {
  await Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]()));
}

interface Blob {
  readonly url: string;
  readonly bytes: Buffer;
  readonly taskId: string;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Content at the origin under the URL of its digest, in pieces of 4 MiB. */
function blob(mib = 17, seed = 'blob'): Blob {
  const bytes = createHash('shake256', { outputLength: mib * MIB })
    .update(seed)
    .digest();
  const url = `http://registry.test/v2/app/blobs/sha256:${sha256(bytes)}`;
  origin.put(url, { bytes });
  return { url, bytes, taskId: taskIdOfRequest(requestOf(url)) };
}

/** Vouchers for all pieces of these bytes. */
function vouchersFor(bytes: Buffer): VoucherBatch {
  const layout = layoutOf(bytes);
  const vouchers = Array.from({ length: layout.pieceCount }, (_, pieceNumber) => {
    const { start, length } = pieceRange(layout, pieceNumber);
    return { pieceNumber, sha256: sha256(bytes.subarray(start, start + length)), hostId: '' };
  });
  return { contentLength: layout.contentLength, pieceLength: layout.pieceLength, vouchers };
}

/** What a member of the cluster that is `lying` makes of these bytes. */
function liesOf(bytes: Buffer): Buffer {
  const lies = Buffer.from(bytes);
  const layout = layoutOf(bytes);
  for (let number = 0; number < layout.pieceCount; number++) {
    const { start } = pieceRange(layout, number);
    lies.writeUInt8((bytes[start] ?? 0) ^ 1, start);
  }
  return lies;
}

/** A reader under way. */
class Reading {
  readonly chunks: Buffer[] = [];
  readonly ended: Promise<void>;

  constructor(stream: TaskStream) {
    this.ended = stream.deliver((chunk) => {
      this.chunks.push(Buffer.from(chunk));
      return Promise.resolve();
    });
    this.ended.catch(() => undefined);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

async function pull(engine: Engine, url: string, digest?: string): Promise<Buffer> {
  await using stream = await engine.open(requestOf(url, { digest }), { signal });
  const reading = new Reading(stream);
  await reading.ended;
  return reading.bytes;
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadlineMs) throw new Error('the condition did not come true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const served = (url: string): number => origin.bytesServed.get(url) ?? 0;

/** The origin sends nothing beyond `mib` until released. */
function holdOriginAt(mib: number): () => void {
  const hold = Promise.withResolvers<void>();
  origin.onChunk = async (_call, position) => {
    if (position >= mib * MIB) await hold.promise;
  };
  return hold.resolve;
}

describe('a piece from a peer', () => {
  it('is released and offered as soon as somebody who got it from the origin vouches for it', async () => {
    const { url, bytes, taskId } = blob();
    const release = holdOriginAt(9);
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    const first = pull(a, url);
    await until(() => (cluster.engines.get('a')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    await using stream = await b.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    await until(() => reading.bytes.length >= 8 * MIB);
    using watch = b.watch(taskId);
    expect(watch?.finished.map(({ number, isVerified }) => [number, isVerified])).toEqual([
      [0, true],
      [1, true],
    ]);
    expect(stream.traffic()).toMatchObject({ backToSource: 0 });
    release();
    await reading.ended;
    expect(reading.bytes.equals(bytes)).toBe(true);
    expect((await first).equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
    expect(cluster.blamed).toEqual([]);
  });

  it('is neither released nor offered before the whole has matched when nobody vouches, as behind a stock relay', async () => {
    const { url, bytes, taskId } = blob();
    cluster.swarm = undefined;
    const release = holdOriginAt(9);
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    const first = pull(a, url);
    await until(() => (cluster.engines.get('a')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    await using stream = await b.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    const held = () => cluster.engines.get('b')?.store.get(taskId);
    await until(() => (held()?.finishedPieces.size ?? 0) >= 2);
    using watch = b.watch(taskId);
    expect(watch?.finished).toEqual([]);
    expect(reading.bytes.length).toBe(0);
    const offered: number[] = [];
    const watching = (async () => {
      for await (const { number } of watch?.arriving ?? []) {
        offered.push(number);
        expect(held()?.isComplete).toBe(true);
      }
    })();
    release();
    await Promise.all([reading.ended, first, watching]);
    expect(offered.sort()).toEqual([0, 1, 2, 3, 4]);
    expect(reading.bytes.equals(bytes)).toBe(true);
  });

  it('is released as it comes where the operator prefers the first byte to certainty', async () => {
    newCluster({ release: 'streaming' });
    cluster.swarm = undefined;
    const { url, bytes, taskId } = blob();
    const release = holdOriginAt(9);
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    const first = pull(a, url);
    await until(() => (cluster.engines.get('a')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    await using stream = await b.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    await until(() => reading.bytes.length >= 8 * MIB);
    using watch = b.watch(taskId);
    expect(watch?.finished).toEqual([]);
    release();
    await Promise.all([reading.ended, first]);
    expect(reading.bytes.equals(bytes)).toBe(true);
  });

  it('that came before its voucher is released when the voucher comes', async () => {
    const { url, bytes, taskId } = blob();
    const release = holdOriginAt(9);
    cluster.swarm = undefined;
    const a = cluster.add('a');
    cluster.swarm = swarm;
    const b = cluster.add('b');
    const first = pull(a, url);
    await until(() => (cluster.engines.get('a')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    await using stream = await b.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    await until(() => (cluster.engines.get('b')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    expect(reading.bytes.length).toBe(0);
    swarm.linkOf('a').vouch(taskId, vouchersFor(bytes));
    await until(() => reading.bytes.length >= 8 * MIB);
    release();
    await Promise.all([reading.ended, first]);
  });

  it('is verified by vouchers asked of its parents while no scheduler of ours is there', async () => {
    const { url, bytes, taskId } = blob();
    const release = holdOriginAt(9);
    swarm.isUp = false;
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    const first = pull(a, url);
    await until(() => (cluster.engines.get('a')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    await using stream = await b.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    await until(() => reading.bytes.length >= 8 * MIB);
    release();
    await Promise.all([reading.ended, first]);
    expect(reading.bytes.equals(bytes)).toBe(true);
  });

  it('found after a crash is kept unverified, and verified when its voucher comes', async () => {
    const { url, bytes, taskId } = blob();
    const store = new MemoryTaskStore();
    const stored = await store.create({
      ...{ taskId, url, layout: layoutOf(bytes), responseHeaders: {}, isPrivate: false },
      digest: `sha256:${sha256(bytes)}`,
    });
    const { vouchers } = vouchersFor(bytes);
    for (const number of [0, 1]) {
      const { start, length } = pieceRange(stored.layout, number);
      const piece = bytes.subarray(start, start + length);
      await stored.write(start, [piece]);
      stored.recordPiece({
        ...{ number, offset: start, length, digest: pieceDigestOf(piece), isVerified: false },
        sha256: vouchers[number]?.sha256,
        ...{ parentId: 'somebody', trafficType: 'remotePeer', costMs: 1, createdAtMs: 1 },
      });
    }
    await pull(cluster.add('a'), url);
    const before = served(url);
    const b = cluster.add('b', { store });
    expect(b.watch(taskId)?.finished).toEqual([]);
    expect((await pull(b, url)).equals(bytes)).toBe(true);
    expect([0, 1].map((number) => stored.piece(number)?.isVerified)).toEqual([true, true]);
    expect(served(url)).toBe(before);
  });
});

describe('a piece for which nobody waits', () => {
  it('is hashed by itself only when somebody comes who is given it before the whole is here', async () => {
    const { url, bytes, taskId } = blob();
    const release = holdOriginAt(9);
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    const first = pull(a, url);
    await until(() => (cluster.engines.get('a')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    await using stream = await b.open(requestOf(url), { signal });
    const held = () => cluster.engines.get('b')?.store.get(taskId);
    await until(() => (held()?.finishedPieces.size ?? 0) >= 2);
    using progressOnly = b.watch(taskId, { isAudience: false });
    expect(progressOnly?.finished).toEqual([]);
    expect([0, 1].map((number) => held()?.piece(number)?.sha256)).toEqual([undefined, undefined]);
    // What this host got from the origin it can vouch for at any time.
    expect(cluster.engines.get('a')?.store.get(taskId)?.piece(0)?.sha256).toBe(sha256(bytes.subarray(0, 4 * MIB)));
    const reading = new Reading(stream);
    await until(() => reading.bytes.length >= 8 * MIB);
    expect(held()?.piece(1)).toMatchObject({ isVerified: true, sha256: sha256(bytes.subarray(4 * MIB, 8 * MIB)) });
    release();
    await Promise.all([reading.ended, first]);
    expect(reading.bytes.equals(bytes)).toBe(true);
  });

  it('is offered to another daemon that comes later', async () => {
    const { url, taskId } = blob();
    const release = holdOriginAt(9);
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    const first = pull(a, url);
    await until(() => (cluster.engines.get('a')?.store.get(taskId)?.finishedPieces.size ?? 0) >= 2);
    await using _stream = await b.open(requestOf(url), { signal });
    const held = () => cluster.engines.get('b')?.store.get(taskId);
    await until(() => (held()?.finishedPieces.size ?? 0) >= 2);
    using watch = b.watch(taskId);
    const offered: number[] = [];
    const watching = (async () => {
      for await (const { number } of watch?.arriving ?? []) {
        if (offered.push(number) === 2) break;
      }
    })();
    await watching;
    expect(offered.sort()).toEqual([0, 1]);
    expect(held()?.isComplete).toBe(false);
    release();
    await first;
  });

  it('is refused when the whole does not match, if it contradicts its voucher, and had from another parent', async () => {
    const { url, bytes, taskId } = blob(33);
    const [a, c] = [cluster.add('a'), cluster.add('c')];
    await pull(a, url);
    await pull(c, url);
    cluster.behaviour.set('c', 'lying');
    const b = cluster.add('b');
    {
      await using _stream = await b.open(requestOf(url, { disableBackToSource: true }), { signal });
      await until(() => cluster.engines.get('b')?.store.get(taskId)?.isComplete === true);
    }
    expect((await pull(b, url)).equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
    expect(cluster.asked.get('c')).toBeGreaterThan(0);
    expect(cluster.blamed).toEqual(['c: wrongBytes']);
    expect(swarm.complaints).toMatchObject([{ by: 'b', hostId: 'c', blamedFor: 'wrongBytes' }]);
  });

  it('is hashed in the end where two contradict each other about it, so that the liar is named', async () => {
    const { url, bytes, taskId } = blob();
    await pull(cluster.add('a'), url);
    swarm.linkOf('mallory').vouch(taskId, vouchersFor(liesOf(bytes)));
    const b = cluster.add('b');
    await using _stream = await b.open(requestOf(url), { signal });
    await until(() => swarm.complaints.length > 0);
    expect(swarm.complaints).toMatchObject([{ by: 'b', hostId: 'mallory', blamedFor: 'falseVoucher' }]);
  });
});

describe('weakness 22: a parent whose CRC fits its wrong bytes', () => {
  it('is found out with its first piece where the truth is vouched for, left alone, and named to the scheduler', async () => {
    const { url, bytes, taskId } = blob(33);
    const a = cluster.add('a');
    await pull(a, url);
    cluster.behaviour.set('a', 'lying');
    expect((await pull(cluster.add('b'), url)).equals(bytes)).toBe(true);
    expect(cluster.asked.get('a')).toBeLessThanOrEqual(4);
    expect(cluster.blamed).toEqual(['a: wrongBytes']);
    expect(swarm.complaints).toHaveLength(1);
    expect(swarm.complaints).toMatchObject([{ by: 'b', taskId, hostId: 'a', blamedFor: 'wrongBytes' }]);
    // Also across tasks.
    const other = blob(9, 'other');
    cluster.behaviour.delete('a');
    await pull(a, other.url);
    const asked = cluster.asked.get('a');
    const b = cluster.engines.get('b')?.engine as Engine;
    expect((await pull(b, other.url)).equals(other.bytes)).toBe(true);
    expect(cluster.asked.get('a')).toBe(asked);
  });

  it('cannot pass them on through an honest host: nobody is given what is not verified', async () => {
    const { url, bytes } = blob();
    cluster.swarm = undefined;
    await pull(cluster.add('a'), url);
    cluster.behaviour.set('a', 'lying');
    const [b, c] = [cluster.add('b'), cluster.add('c')];
    const results = await Promise.all([pull(b, url), pull(c, url)]);
    expect(results.every((result) => result.equals(bytes))).toBe(true);
    expect(cluster.blamed).not.toContain('b: wrongBytes');
    expect(cluster.blamed).not.toContain('c: wrongBytes');
  });
});

describe('an origin that has other bytes than the digest wants', () => {
  it('brings nobody into disrepute who sent the right ones', async () => {
    const { url, bytes, taskId } = blob();
    await pull(cluster.add('a'), url);
    origin.put(url, { bytes: liesOf(bytes) });
    const store = new MemoryTaskStore();
    const stored = await store.create({
      ...{ taskId, url, layout: layoutOf(bytes), responseHeaders: {}, isPrivate: false },
      digest: `sha256:${sha256(bytes)}`,
    });
    // Something that nobody vouches for and that is wrong, so that the origin is asked what is right.
    const { start, length } = pieceRange(stored.layout, 0);
    const wrong = liesOf(bytes).subarray(start, start + length);
    await stored.write(start, [wrong]);
    stored.recordPiece({
      ...{ number: 0, offset: start, length, digest: pieceDigestOf(wrong), sha256: undefined, isVerified: false },
      ...{ parentId: 'somebody', trafficType: 'remotePeer', costMs: 1, createdAtMs: 1 },
    });
    cluster.swarm = undefined;
    await expect(pull(cluster.add('b', { store }), url)).rejects.toMatchObject({ code: 'TASK_DIGEST_MISMATCH' });
    expect(cluster.asked.get('a')).toBeGreaterThan(0);
    expect(cluster.blamed).toEqual([]);
  });
});

describe('a false voucher', () => {
  it('costs a reader its last byte, never a wrong blob: asked again it is right, and who vouched is named', async () => {
    const { url, bytes, taskId } = blob();
    cluster.swarm = undefined;
    const a = cluster.add('a');
    await pull(a, url);
    cluster.swarm = swarm;
    cluster.behaviour.set('a', 'lying');
    swarm.linkOf('a').vouch(taskId, vouchersFor(liesOf(bytes)));
    const b = cluster.add('b');
    await using stream = await b.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    await expect(reading.ended).rejects.toMatchObject({ code: 'RELEASED_BYTES_REFUTED' });
    expect(reading.bytes.length).toBeLessThan(bytes.length);
    // The client has gone: what was begun for it is finished all the same, or its next try would meet the same liar.
    await stream[Symbol.asyncDispose]();
    expect((await pull(b, url)).equals(bytes)).toBe(true);
    expect(cluster.blamed).toEqual(['a: falseVoucher']);
    expect(swarm.complaints).toMatchObject([{ by: 'b', hostId: 'a', taskId, blamedFor: 'falseVoucher' }]);
  });

  it('does not count beside a true one, and is found out once the whole has matched', async () => {
    const { url, bytes, taskId } = blob();
    await pull(cluster.add('a'), url);
    swarm.linkOf('mallory').vouch(taskId, vouchersFor(liesOf(bytes)));
    const b = cluster.add('b');
    await using stream = await b.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    await reading.ended;
    expect(reading.bytes.equals(bytes)).toBe(true);
    expect(stream.traffic().backToSource).toBe(0);
    expect(cluster.blamed).toEqual(['mallory: falseVoucher']);
    expect(swarm.complaints).toMatchObject([{ hostId: 'mallory', blamedFor: 'falseVoucher' }]);
    // Its word counts no more.
    const other = blob(9, 'other');
    await pull(cluster.engines.get('a')?.engine as Engine, other.url);
    swarm.linkOf('mallory').vouch(other.taskId, vouchersFor(liesOf(other.bytes)));
    await pull(b, other.url);
    const held = cluster.engines.get('b')?.store.get(other.taskId);
    expect([0, 1].map((number) => held?.piece(number)?.isVerified)).toEqual([true, true]);
  });

  it('does not harm the honest parent that it contradicts for longer than until the truth is known', async () => {
    const { url, bytes, taskId } = blob();
    cluster.swarm = undefined;
    const a = cluster.add('a');
    await pull(a, url);
    cluster.swarm = swarm;
    swarm.linkOf('mallory').vouch(taskId, vouchersFor(liesOf(bytes)));
    const b = cluster.add('b');
    expect((await pull(b, url)).equals(bytes)).toBe(true);
    expect(swarm.complaints.map(({ hostId, blamedFor }) => `${hostId}: ${blamedFor}`)).toEqual([
      'mallory: falseVoucher',
    ]);
    const other = blob(9, 'other');
    await pull(a, other.url);
    const asked = cluster.asked.get('a') ?? 0;
    await pull(b, other.url);
    expect(cluster.asked.get('a')).toBeGreaterThan(asked);
  });
});

describe('content of unknown length', () => {
  it('weakness 20: is handed through without its end when it does not have the digest of its name', async () => {
    const { url, bytes } = blob(5);
    const a = cluster.add('a');
    origin.put(url, { bytes, tellsLength: false });
    expect((await pull(a, url)).equals(bytes)).toBe(true);
    origin.put(url, { bytes: liesOf(bytes), tellsLength: false });
    await using stream = await a.open(requestOf(url), { signal });
    const reading = new Reading(stream);
    await expect(reading.ended).rejects.toMatchObject({ code: 'TASK_DIGEST_MISMATCH' });
    expect(reading.bytes.length).toBeLessThan(bytes.length);
  });
});

describe('weakness 20: callers who expect different digests of one URL', () => {
  const url = 'http://files.test/model.bin';
  const wrong = `sha256:${'0'.repeat(64)}`;

  it('do not share one outcome when they come at the same time', async () => {
    const { bytes } = blob();
    origin.put(url, { bytes });
    const a = cluster.add('a');
    const right = `sha256:${sha256(bytes)}`;
    const results = await Promise.allSettled([
      pull(a, url, wrong),
      pull(a, url, right),
      pull(a, url),
      pull(a, url, `md5:${createHash('md5').update(bytes).digest('hex')}`),
      pull(a, url, wrong),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    for (const result of results) {
      if (result.status === 'fulfilled') expect(result.value.equals(bytes)).toBe(true);
      else expect(result.reason).toMatchObject({ code: 'TASK_DIGEST_MISMATCH' });
    }
  });

  it('get a verdict on what is here, each on its own digest, and spoil it for nobody', async () => {
    const { bytes } = blob(5);
    origin.put(url, { bytes });
    const a = cluster.add('a');
    await pull(a, url, `sha1:${createHash('sha1').update(bytes).digest('hex')}`);
    const before = served(url);
    await expect(pull(a, url, wrong)).rejects.toMatchObject({ code: 'TASK_DIGEST_MISMATCH' });
    expect((await pull(a, url, `sha256:${sha256(bytes)}`)).equals(bytes)).toBe(true);
    expect(served(url)).toBe(before);
  });

  it('fetch anew what was never checked and does not match', async () => {
    const { bytes } = blob(5);
    origin.put(url, { bytes: liesOf(bytes) });
    const a = cluster.add('a');
    await pull(a, url);
    origin.put(url, { bytes });
    expect((await pull(a, url, `sha256:${sha256(bytes)}`)).equals(bytes)).toBe(true);
  });
});
