import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeCluster, MIB, requestOf } from './_swarm.ts';
import type { Engine } from './index.ts';
import { taskIdOfRequest } from './index.ts';
import { MemoryOrigin } from './testing/index.ts';

const signal = new AbortController().signal;

let origin: MemoryOrigin;
let cluster: FakeCluster;
let holder: Engine;
let asker: Engine;

beforeEach(() => {
  origin = new MemoryOrigin();
  cluster = new FakeCluster(origin, { instructionMs: 300, starvationMs: 300, seedMs: 300, reconnectMs: 20 });
  holder = cluster.add('holder');
  asker = cluster.add('asker');
});

afterEach(async () => {
  await Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]()));
});

function blob(size: number, seed: string): { url: string; bytes: Buffer } {
  const bytes = createHash('shake256', { outputLength: size }).update(seed).digest();
  const url = `http://registry.test/v2/app/blobs/sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  origin.put(url, { bytes, headers: {} });
  return { url, bytes };
}

async function pull(engine: Engine, url: string): Promise<Buffer> {
  await using stream = await engine.open(requestOf(url), { signal });
  const chunks: Buffer[] = [];
  await stream.deliver((bytes) => {
    chunks.push(Buffer.from(bytes));
    return Promise.resolve();
  });
  return Buffer.concat(chunks);
}

/** The holder gets it, unless told otherwise; then the asker, who is told that the holder is at it, or has finished. */
async function relay(
  { url, bytes }: { url: string; bytes: Buffer },
  { isComplete = true, isHeld = true } = {},
): Promise<void> {
  if (isHeld) await pull(holder, url);
  const parent = cluster.asParent('holder', 'peer', bytes.length);
  const offer = create(common.PeerSchema, { id: 'peer', host: { id: 'holder' } });
  cluster.scheduler.answer = () => ({ kind: 'parents', parents: [{ ...parent, isComplete, offer }] });
  expect((await pull(asker, url)).equals(bytes)).toBe(true);
  cluster.scheduler.answer = () => undefined;
}

const asked = (): [syncs: number, pieces: number] => [
  cluster.synced.get('holder') ?? 0,
  cluster.asked.get('holder') ?? 0,
];

describe('a task of one piece', () => {
  it('is fetched without asking a finished parent that said before where it serves pieces', async () => {
    await relay(blob(1, 'first'));
    expect(asked()).toEqual([1, 1]);
    await relay(blob(4 * MIB, 'second'));
    expect(asked()).toEqual([1, 2]);
  });

  it('is asked after when the parent has not finished, and when there are more pieces', async () => {
    await relay(blob(1, 'first'));
    await relay(blob(2, 'running'), { isComplete: false });
    expect(asked()).toEqual([2, 2]);
    await relay(blob(5 * MIB, 'longer'));
    expect(asked()).toEqual([3, 4]);
  });

  it('is asked after when it turns out not to be there, and the parent is asked again the next time', async () => {
    await relay(blob(1, 'first'));
    const gone = blob(2, 'gone');
    await relay(gone, { isHeld: false });
    expect(asked()).toEqual([2, 2]);
    expect(origin.bytesServed.get(gone.url)).toBe(2);
    expect(cluster.blamed).toEqual(['holder: unreachable']); // for its answer, not for what was presumed of it
  });

  it('is not believed to be right: wrong bytes cost their sender its trust', async () => {
    await relay(blob(1, 'first'));
    cluster.behaviour.set('holder', 'corrupt');
    const { url } = blob(2, 'corrupt');
    await relay({ url, bytes: blob(2, 'corrupt').bytes });
    expect(asked()).toEqual([1, 2]);
    expect(cluster.blamed).toEqual(['holder: wrongBytes']);
    expect(cluster.engines.get('asker')?.store.get(taskIdOfRequest(requestOf(url)))?.isComplete).toBe(true);
  });

  it('is asked after when the bytes cannot be had where they were, which is nobody’s fault', async () => {
    await relay(blob(1, 'first'));
    cluster.behaviour.set('holder', 'refusing');
    const moved = blob(2, 'moved');
    await relay(moved);
    expect(cluster.synced.get('holder')).toBe(2);
    expect(cluster.blamed).toEqual([]);
  });
});
