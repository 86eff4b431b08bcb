import type { TaskStore, VoucherBatch } from '@d7y/peer-engine';
import type { ParentClientPool, PeerRegistration } from '@d7y/peer-protocol';
import type { TagRecord } from '@d7y/registry-proxy';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeTask, TASK_ID, taskWatchOf } from '../_fakes.ts';
import { silentLogger } from '../_silent-logger.ts';
import { FakeScheduler, FakeSchedulers } from './_fake-schedulers.ts';
import { OwnInventory } from './own-inventory.ts';
import { OwnVouchers } from './own-vouchers.ts';
import { SwarmLinks, type SwarmLinksTiming } from './swarm-links.ts';

const HOST_ID = '10.0.0.1-me';
const A = 'a'.repeat(64);
const GRID = { contentLength: 2500, pieceLength: 1000 };
const signal = new AbortController().signal;
const batch = (...pieceNumbers: number[]): VoucherBatch => ({
  ...GRID,
  vouchers: pieceNumbers.map((pieceNumber) => ({ pieceNumber, sha256: A, hostId: HOST_ID })),
});
const TAG: TagRecord = {
  ...{ registry: 'https://r.example', repository: 'library/nginx', tag: 'latest', accept: 'a/b' },
  ...{ digest: `sha256:${A}`, mediaType: 'a/b', size: 7, seenAtMs: 5 },
};

const REGISTRATION: PeerRegistration = {
  ...{ hostId: HOST_ID, taskId: TASK_ID, peerId: 'me-peer', url: 'https://r.example/x', tag: undefined },
  ...{ application: undefined, digest: undefined, filteredQueryParams: [], requestHeaders: {}, priority: 0 },
  ...{ requestedPieceLength: undefined, range: undefined, contentLength: undefined, pieceLength: undefined },
  ...{ needBackToSource: false, metadataOnly: false, concurrentPieceCount: 1 },
  ...{ contentForCalculatingTaskId: undefined, enableTaskIdBasedBlobDigest: true },
};

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('the condition did not come true');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Links with schedulers `first`, which owns all tasks, and `second`; both stand. */
async function setUp(timing: Partial<SwarmLinksTiming> = {}, parents?: Pick<ParentClientPool, 'at'>) {
  const first = new FakeScheduler('10.0.0.8:8002');
  const second = new FakeScheduler('10.0.0.9:8002');
  const schedulers = new FakeSchedulers(first, second);
  const noParents = {
    at: () => {
      throw new Error('no parents here');
    },
  };
  const links = stack.use(
    new SwarmLinks({
      ...{ schedulers, parents: parents ?? noParents, hostId: HOST_ID, logger: silentLogger },
      timing: { batchMs: 0, leaseTimeoutMs: 5_000, tagTimeoutMs: 5_000, reconnectDelayMs: () => 0, ...timing },
    }),
  );
  await until(() => links.linkedSchedulers.length === 2);
  return { first, second, schedulers, links };
}

/** Collects what is followed. */
function followed(batches: AsyncIterable<VoucherBatch>): VoucherBatch[] {
  const seen: VoucherBatch[] = [];
  void (async () => {
    for await (const next of batches) seen.push(next);
  })();
  return seen;
}

describe('SwarmLinks', () => {
  it('has downloads registered with a scheduler as long as the stream with it stands, and breaks them with it', async () => {
    const { first, links } = await setUp();
    const peers = links.peersAt(first.address);
    const announcement = peers?.announcePeer(REGISTRATION, { signal });
    await until(() => first.of('register').length === 1);
    expect(first.of('register')[0]).toMatchObject({ peerNumber: 1, taskId: TASK_ID, peerId: 'me-peer' });
    first.say({ case: 'originGrant', value: { peerNumber: 1, reason: 'nobody has it' } });
    const instructions = announcement?.instructions[Symbol.asyncIterator]();
    expect(await instructions?.next()).toMatchObject({ value: { kind: 'backToSource', reason: 'nobody has it' } });
    first.isUp = false;
    first.cut();
    await expect(instructions?.next()).rejects.toThrow('cut');
    expect(links.peersAt(first.address)).toBeUndefined();
    expect(links.peersAt('nobody:1')).toBeUndefined();
  });

  it('tells the owner of each task what is held, after every connect', async () => {
    const { first, second, schedulers, links } = await setUp();
    const held = { taskId: TASK_ID, isComplete: true, url: 'https://r.example/x', isPrivate: true, layout: GRID };
    const partial = { ...held, taskId: 'partial', isComplete: false };
    const store = { list: () => [held, partial], get: () => undefined } as unknown as TaskStore;
    links.tellAgainFrom(new OwnVouchers(store, HOST_ID, () => undefined), new OwnInventory(store, () => 'me-held'));
    await until(() => first.of('inventory').length === 1);
    const tasks = first.of('inventory').flatMap((inventory) => inventory.tasks);
    expect(tasks).toMatchObject([{ taskId: TASK_ID, peerId: 'me-held', priority: 3 }]);
    expect(second.of('inventory')).toEqual([]);
    first.told.length = 0;
    first.cut();
    await until(() => first.of('inventory').length === 1);
    schedulers.replace(second);
    await until(() => second.of('inventory').length > 0);
  });

  it('says that the daemon is about to stop, and asks a scheduler that says so no more', async () => {
    const { first, second, schedulers, links } = await setUp();
    links.drain('an update');
    await until(() => first.of('drain').length === 1 && second.of('drain').length === 1);
    const announcement = links.peersAt(first.address)?.announcePeer(REGISTRATION, { signal });
    first.say({ case: 'drain', value: { reason: 'an update' } });
    await expect(announcement?.instructions[Symbol.asyncIterator]().next()).rejects.toThrow('about to stop');
    expect(schedulers.retired).toEqual([first.address]);
  });

  it('introduces itself first, and is linked from the answer on', async () => {
    const { first, links } = await setUp();
    expect(first.told[0]).toMatchObject({ case: 'open', value: { hostId: HOST_ID } });
    expect(links.isLinked(TASK_ID)).toBe(true);
  });

  it('vouches to the owner of the task alone, what comes at once in one message', async () => {
    const { first, second, links } = await setUp();
    links.vouch(TASK_ID, batch(0));
    links.vouch(TASK_ID, batch(1));
    links.vouch('other', { ...batch(0), contentLength: 9 });
    await until(() => first.of('vouch').length === 2);
    const [mine, other] = first.of('vouch');
    expect(mine).toMatchObject({ taskId: TASK_ID, contentLength: 2500n, pieceLength: 1000n });
    // Its own vouchers go without a name.
    expect(mine?.vouchers.map(({ pieceNumber, hostId }) => [pieceNumber, hostId])).toEqual([
      [0, ''],
      [1, ''],
    ]);
    expect(Buffer.from(mine?.vouchers[0]?.sha256 ?? []).toString('hex')).toBe(A);
    expect(other).toMatchObject({ taskId: 'other', contentLength: 9n });
    expect(second.of('vouch')).toEqual([]);
  });

  it('never puts more vouchers into a message than schedulers read', async () => {
    const { first, links } = await setUp();
    links.vouch(TASK_ID, batch(...Array.from({ length: 1200 }, (_, number) => number)));
    await until(() => first.of('vouch').length === 3);
    expect(first.of('vouch').map(({ vouchers }) => vouchers.length)).toEqual([512, 512, 176]);
  });

  it('passes on what others vouch for to those who follow, until they leave', async () => {
    const { first, links } = await setUp();
    const leave = new AbortController();
    const seen = followed(links.follow(TASK_ID, { signal: leave.signal }));
    const other = followed(links.follow(TASK_ID, { signal }));
    await until(() => first.of('followTask').length === 2);
    const voucher = { pieceNumber: 1, sha256: Buffer.from(A, 'hex'), hostId: 'seed' };
    const value = { taskId: TASK_ID, contentLength: 2500n, pieceLength: 1000n, vouchers: [voucher] };
    first.say({ case: 'taskVouchers', value });
    // What cannot be is passed over.
    first.say({ case: 'taskVouchers', value: { ...value, vouchers: [{ ...voucher, sha256: Buffer.alloc(3) }] } });
    await until(() => seen.length === 1 && other.length === 1);
    expect(seen).toEqual([{ ...GRID, vouchers: [{ pieceNumber: 1, sha256: A, hostId: 'seed' }] }]);
    leave.abort();
    first.say({ case: 'taskVouchers', value });
    await until(() => other.length === 2);
    expect(seen).toHaveLength(1);
    expect(first.of('unfollowTask')).toEqual([]);
  });

  it('ends what it follows with the last who wants it', async () => {
    const { first, links } = await setUp();
    const leave = new AbortController();
    const batches = links.follow(TASK_ID, { signal: leave.signal })[Symbol.asyncIterator]();
    const next = batches.next();
    await until(() => first.of('followTask').length === 1);
    leave.abort();
    expect((await next).done).toBe(true);
    await until(() => first.of('unfollowTask').length === 1);
  });

  it('says everything again after a reconnect: vouchers of what is still here, what it follows, leases, tags', async () => {
    const { first, schedulers, links } = await setUp();
    const task = new FakeTask(2500);
    await task.finish(0, 2);
    await task.receive(1);
    links.tellAgainFrom(new OwnVouchers(task.store, HOST_ID, (taskId) => taskWatchOf(task, taskId)));
    links.record(TAG);
    first.answer = (request) =>
      request.case === 'leaseRequest'
        ? { case: 'leaseAnswer', value: { requestId: request.value.requestId, granted: true } }
        : undefined;
    using lease = (await links.requestLease(TASK_ID, { signal })) as Disposable;
    expect(lease).toBeDefined();
    followed(links.follow(TASK_ID, { signal }));
    await until(() => first.of('followTask').length === 1 && first.of('vouch').length === 1);
    first.told.length = 0;
    first.cut();
    await until(() => first.of('vouch').length === 1);
    expect(schedulers.doubted).toEqual([first.address]);
    expect(first.told[0]).toMatchObject({ case: 'open' });
    expect(first.of('followTask')).toMatchObject([{ taskId: TASK_ID }]);
    expect(first.of('leaseRequest')).toMatchObject([{ taskId: TASK_ID }]);
    expect(first.of('recordTag')).toMatchObject([{ record: { digest: TAG.digest, seenAtMs: 5n } }]);
    expect(first.of('vouch')[0]).toMatchObject({ taskId: TASK_ID, vouchers: [{ pieceNumber: 0 }, { pieceNumber: 2 }] });
  });

  it('turns to the next scheduler on the ring when the owner is gone, and back', async () => {
    const { first, second, links } = await setUp();
    const task = new FakeTask(2500);
    await task.finish(0);
    links.tellAgainFrom(new OwnVouchers(task.store, HOST_ID, () => undefined));
    followed(links.follow(TASK_ID, { signal }));
    await until(() => first.of('vouch').length === 1);
    expect(second.of('vouch')).toEqual([]);
    first.isUp = false;
    first.cut();
    await until(() => second.of('vouch').length === 1 && second.of('followTask').length === 1);
    links.blame(TASK_ID, 3, 'liar', 'wrongBytes');
    await until(() => second.of('blame').length === 1);
    expect(second.of('blame')[0]).toMatchObject({ taskId: TASK_ID, pieceNumber: 3, hostId: 'liar', offence: 1 });
    first.told.length = 0;
    first.isUp = true;
    await until(() => first.of('vouch').length === 1 && first.of('followTask').length === 1);
  });

  it('opens and closes links as schedulers come and go', async () => {
    const { first, second, schedulers, links } = await setUp();
    schedulers.replace(second);
    expect(links.linkedSchedulers).toEqual([second.address]);
    const third = new FakeScheduler('10.0.0.10:8002');
    schedulers.replace(third, second);
    await until(() => links.linkedSchedulers.length === 2);
    links.blame(TASK_ID, 0, 'x', 'stalled');
    await until(() => third.of('blame').length === 1);
    expect(first.connections).toBe(1);
  });

  it('says and asks nothing without a link, and waits for nothing', async () => {
    const { schedulers, links } = await setUp();
    schedulers.replace();
    expect(links.isLinked(TASK_ID)).toBe(false);
    links.vouch(TASK_ID, batch(0));
    links.blame(TASK_ID, 0, 'x', 'unreachable');
    links.record(TAG);
    expect(links.forget(TASK_ID)).toBe(false);
    expect(await links.requestLease(TASK_ID, { signal })).toBe('unlinked');
    expect(await links.find(TAG, { signal })).toEqual([]);
  });

  it('gives up a scheduler that reads nothing rather than keep what it has to say', async () => {
    const { first, second, links } = await setUp();
    first.isDeaf = true;
    links.blame(TASK_ID, 0, 'x', 'stalled');
    await until(() => first.of('blame').length === 1);
    for (let count = 0; count <= 4_096; count++) links.blame(TASK_ID, count, 'x', 'stalled');
    first.isUp = false;
    await until(() => !links.linkedSchedulers.includes(first.address));
    links.blame(TASK_ID, 0, 'y', 'stalled');
    await until(() => second.of('blame').length === 1);
    first.isDeaf = false;
  });

  it('tells of evictions together', async () => {
    const { first, links } = await setUp();
    expect(links.forget('one')).toBe(true);
    links.forget('two');
    await until(() => first.of('forgetTasks').length === 1);
    expect(first.of('forgetTasks')[0]?.taskIds).toEqual(['one', 'two']);
  });
});

describe('leases over a link', () => {
  const granting = (granted: boolean) => (request: FakeScheduler['told'][number]) =>
    request.case === 'leaseRequest'
      ? ({ case: 'leaseAnswer', value: { requestId: request.value.requestId, granted } } as const)
      : undefined;

  it('are shared by the downloads of a task, and given back by the last', async () => {
    const { first, links } = await setUp();
    first.answer = granting(true);
    const [one, two] = await Promise.all([
      links.requestLease(TASK_ID, { signal }),
      links.requestLease(TASK_ID, { signal }),
    ]);
    const three = await links.requestLease(TASK_ID, { signal });
    expect(first.of('leaseRequest')).toHaveLength(1);
    for (const lease of [one, two]) (lease as Disposable)[Symbol.dispose]();
    (one as Disposable)[Symbol.dispose]();
    links.blame(TASK_ID, 0, 'x', 'stalled');
    await until(() => first.of('blame').length === 1);
    expect(first.of('leaseReturn')).toEqual([]);
    (three as Disposable)[Symbol.dispose]();
    await until(() => first.of('leaseReturn').length === 1);
  });

  it('may be refused', async () => {
    const { first, links } = await setUp();
    first.answer = granting(false);
    expect(await links.requestLease(TASK_ID, { signal })).toBeUndefined();
  });

  it('are not waited for: a late answer gives nobody a lease', async () => {
    const { first, links } = await setUp({ leaseTimeoutMs: 1 });
    expect(await links.requestLease(TASK_ID, { signal })).toBe('unlinked');
    await until(() => first.of('leaseReturn').length === 1);
  });

  it('that nobody waits for any more go back', async () => {
    const { first, links } = await setUp();
    const leave = new AbortController();
    const asked = links.requestLease(TASK_ID, { signal: leave.signal });
    await until(() => first.of('leaseRequest').length === 1);
    leave.abort(new Error('left'));
    const { requestId } = first.of('leaseRequest')[0] ?? {};
    first.say({ case: 'leaseAnswer', value: { requestId: requestId ?? 0n, granted: true } });
    await expect(asked).rejects.toThrow('left');
    await until(() => first.of('leaseReturn').length === 1);
  });

  it('end with the link on which they were asked for', async () => {
    const { first, links } = await setUp();
    const asked = links.requestLease(TASK_ID, { signal });
    await until(() => first.of('leaseRequest').length === 1);
    first.cut();
    expect(await asked).toBe('unlinked');
  });

  it('are renewed while they are held', async () => {
    const { first, links } = await setUp({ leaseRenewalMs: 1 });
    first.answer = granting(true);
    using lease = (await links.requestLease(TASK_ID, { signal })) as Disposable;
    expect(lease).toBeDefined();
    await until(() => first.of('leaseRequest').length >= 3);
  });
});

describe('tags over links', () => {
  it('are told to all schedulers, asked of all of them, and the newest word of each comes first', async () => {
    const { first, second, links } = await setUp();
    links.record(TAG);
    await until(() => first.of('recordTag').length === 1 && second.of('recordTag').length === 1);
    const knowing =
      (...records: TagRecord[]) =>
      (request: FakeScheduler['told'][number]) =>
        request.case === 'findTag'
          ? ({
              case: 'tagAnswer',
              value: {
                requestId: request.value.requestId,
                records: records.map((record) => ({ ...record, size: 7n, seenAtMs: BigInt(record.seenAtMs) })),
              },
            } as const)
          : undefined;
    const newer = { ...TAG, digest: `sha256:${'b'.repeat(64)}`, seenAtMs: 9 };
    first.answer = knowing(TAG, { ...newer, seenAtMs: 2 });
    second.answer = knowing(newer);
    expect(await links.find(TAG, { signal })).toMatchObject([newer, TAG]);
    expect(first.of('findTag')[0]).toMatchObject({ registry: TAG.registry, tag: TAG.tag, accept: TAG.accept });
  });

  it('are not waited for beyond their time', async () => {
    const { links } = await setUp({ tagTimeoutMs: 1 });
    expect(await links.find(TAG, { signal })).toEqual([]);
  });
});

describe('vouchers of a parent', () => {
  const parentWith = (batches: () => AsyncIterable<VoucherBatch>): Pick<ParentClientPool, 'at'> => ({
    at: () => ({ followVouchers: batches }) as never,
  });
  const PARENT = { ip: '10.0.0.5', port: 4000, hostId: '10.0.0.5-parent' };

  it('are its own, whatever name they bear', async () => {
    const { links } = await setUp(
      {},
      parentWith(async function* () {
        yield batch(0, 1);
      }),
    );
    const seen: VoucherBatch[] = [];
    for await (const next of links.followParent(PARENT, TASK_ID, { signal })) seen.push(next);
    expect(seen[0]?.vouchers.map(({ hostId }) => hostId)).toEqual([PARENT.hostId, PARENT.hostId]);
  });

  it('just end when the parent fails, or says more than any task has', async () => {
    const failing = await setUp(
      {},
      parentWith(async function* () {
        yield await Promise.reject<VoucherBatch>(new Error('gone'));
      }),
    );
    for await (const _next of failing.links.followParent(PARENT, TASK_ID, { signal })) throw new Error('no');
    const endless = await setUp(
      {},
      parentWith(async function* () {
        for (;;) yield batch(...Array.from({ length: 10_000 }, (_, number) => number));
      }),
    );
    let count = 0;
    for await (const { vouchers } of endless.links.followParent(PARENT, TASK_ID, { signal })) count += vouchers.length;
    expect(count).toBe(60_000);
  });

  it('tell when a stream stands, at the latest after the time that was given', async () => {
    const { first, links } = await setUp();
    await links.opened(first.address, 60_000);
    first.isUp = false;
    first.cut();
    await until(() => links.linkedSchedulers.length === 1);
    await links.opened(first.address, 1);
    const opened = links.opened(first.address, 60_000);
    first.isUp = true;
    await opened;
    expect(links.peersAt(first.address)).toBeDefined();
  });
});
