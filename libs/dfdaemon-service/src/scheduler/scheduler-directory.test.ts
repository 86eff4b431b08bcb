import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type { Announcement, Instruction, LinkedPeers, PeerRegistration, SchedulerClient } from '@d7y/peer-protocol';
import { PieceSet } from '@d7y/piece';
import { createLogger, delay } from '@d7y/service-kit';
import { schedulerRing } from '@d7y/swarm';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '../_silent-logger.ts';
import { SchedulerDirectory, type SchedulerDirectoryOptions } from './scheduler-directory.ts';
import { PersistentSeedMemory } from './seed-memory.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'd7y-directory-'));
});
// A memory that a test has left may still be writing its file.
afterEach(() => rm(dir, { recursive: true, force: true, maxRetries: 10 }));

class FakeScheduler {
  isUp = true;
  announced = 0;
  left = 0;
  seeds: string[] = [];
  isStock = false;
  features: string[] = [];
  conversations = 0;
  conversationError: unknown;
  helloError: Error | undefined;

  client(address: string): SchedulerClient {
    const check = <T>(value: T): Promise<T> =>
      this.isUp ? Promise.resolve(value) : Promise.reject(new Error(`${address} is down`));
    return {
      address,
      checkHealth: () => Promise.resolve(this.isUp),
      hello: () =>
        this.helloError !== undefined
          ? Promise.reject(this.helloError)
          : check(
              this.isStock
                ? undefined
                : { instanceId: address, version: '1', features: this.features, pieceTlsPort: undefined },
            ),
      announceHost: () => check(void this.announced++),
      deleteHost: () => check(void this.left++),
      listHosts: () =>
        check(this.seeds.map((id) => create(common.HostSchema, { id, ip: '10.0.0.1', port: 4000, type: 1 }))),
      announcePeer: () => {
        this.conversations++;
        const error = this.conversationError;
        const instructions = (async function* () {
          if (error !== undefined) throw error as Error;
          yield { kind: 'empty' } as const;
        })();
        return { instructions, abort: () => undefined } as unknown as Announcement;
      },
      statTask: () => check(undefined),
      deleteTask: () => check(undefined),
      openLink: () => {
        throw new Error('the directory opens no links');
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
}

async function setUp(
  addresses: string[],
  options: Partial<Pick<SchedulerDirectoryOptions, 'checkIntervalMs' | 'logger'>> = {},
) {
  const clock = { ms: 0 };
  const schedulers = new Map(addresses.map((address) => [address, new FakeScheduler()]));
  const seeds = await PersistentSeedMemory.open(join(dir, 'seeds.json'), 'self', silentLogger);
  const directory = new SchedulerDirectory({
    addresses: async () => [...schedulers.keys()],
    connect: (address) => (schedulers.get(address) ?? new FakeScheduler()).client(address),
    describeHost: async () => create(common.HostSchema, { id: 'self' }),
    seeds,
    refreshIntervalMs: 1000,
    checkIntervalMs: 10,
    announceIntervalMs: 1000,
    seedIntervalMs: 100,
    now: () => clock.ms,
    logger: silentLogger,
    ...options,
  });
  return { clock, schedulers, seeds, directory };
}

const ADDRESSES = ['10.0.0.1:8002', '10.0.0.2:8002', '10.0.0.3:8002'];
const TASK = '5844f'.padEnd(64, '0');

describe('SchedulerDirectory', () => {
  it('offers schedulers that serve in the order of the ring', async () => {
    const { directory, schedulers } = await setUp(ADDRESSES);
    expect(directory.candidates(TASK)).toEqual([]);
    await directory.refresh();
    const order = schedulerRing(ADDRESSES).ordered(TASK);
    expect(directory.candidates(TASK).map(({ address }) => address)).toEqual(order);
    const [owner = ''] = order;
    (schedulers.get(owner) as FakeScheduler).isUp = false;
    await directory.refresh();
    expect(directory.candidates(TASK).map(({ address }) => address)).toEqual(order.slice(1));
    expect(directory.status()).toContainEqual({ address: owner, reachable: false, isOurs: true });
  });

  it('has met its schedulers when each was looked at once, whether it is there or not, and waits for that so long only', async () => {
    const [up, down] = ['10.0.0.1:8002', '10.0.0.2:8002'];
    const { directory, schedulers } = await setUp([up, down]);
    const gone = schedulers.get(down);
    if (gone !== undefined) gone.isUp = false;
    const before = await Promise.race([directory.met({ timeoutMs: 10 }).then(() => 'gave up'), delay(5_000)]);
    expect(before).toBe('gave up');
    directory.start();
    await directory.met({ timeoutMs: 60_000 });
    expect(directory.status().map(({ reachable }) => reachable)).toEqual([true, false]);
    await directory[Symbol.asyncDispose]();
  });

  it('announces at first sight, when due, and to one that came back', async () => {
    const { directory, schedulers, clock } = await setUp(['10.0.0.1:8002']);
    const scheduler = schedulers.get('10.0.0.1:8002') as FakeScheduler;
    await directory.refresh();
    await directory.refresh();
    expect(scheduler.announced).toBe(1);
    clock.ms += 1000;
    await directory.refresh();
    expect(scheduler.announced).toBe(2);
    scheduler.isUp = false;
    await directory.refresh();
    scheduler.isUp = true;
    await directory.refresh();
    expect(scheduler.announced).toBe(3);
  });

  it('knows for a while that a scheduler came back, which one that is there for the first time did not', async () => {
    const { directory, schedulers, clock } = await setUp(['10.0.0.1:8002']);
    const scheduler = schedulers.get('10.0.0.1:8002') as FakeScheduler;
    await directory.refresh();
    expect(directory.isBack('10.0.0.1:8002')).toBe(false);
    clock.ms += 1000;
    scheduler.isUp = false;
    await directory.refresh();
    clock.ms += 1000;
    scheduler.isUp = true;
    await directory.refresh();
    expect(directory.isBack('10.0.0.1:8002')).toBe(true);
    clock.ms += 60_000;
    expect(directory.isBack('10.0.0.1:8002')).toBe(false);
  });

  it('announces again after a broken conversation, because a restarted scheduler knows nobody', async () => {
    const { directory, schedulers } = await setUp(['10.0.0.1:8002']);
    const scheduler = schedulers.get('10.0.0.1:8002') as FakeScheduler;
    await directory.refresh();
    scheduler.conversationError = new Error('host is not announced');
    const [connection] = directory.candidates(TASK);
    const conversation = connection?.announcePeer({} as PeerRegistration, { signal: new AbortController().signal });
    await expect(conversation?.instructions[Symbol.asyncIterator]().next()).rejects.toThrow('not announced');
    await directory.refresh();
    expect(scheduler.announced).toBe(2);
  });

  it('knows ours from stock ones', async () => {
    const { directory, schedulers } = await setUp(['10.0.0.1:8002']);
    (schedulers.get('10.0.0.1:8002') as FakeScheduler).isStock = true;
    await directory.refresh();
    expect(directory.status()).toEqual([{ address: '10.0.0.1:8002', reachable: true, isOurs: false }]);
  });

  it('leaves the schedulers that it was announced to', async () => {
    const { directory, schedulers } = await setUp(ADDRESSES.slice(0, 2));
    (schedulers.get(ADDRESSES[1] ?? '') as FakeScheduler).isUp = false;
    await directory.refresh();
    await directory.leave({ signal: AbortSignal.timeout(1000) });
    expect([...schedulers.values()].map(({ left }) => left)).toEqual([1, 0]);
  });

  it('weakness 32: finds a scheduler that comes later by itself', async () => {
    const { directory, schedulers } = await setUp(['10.0.0.1:8002']);
    const scheduler = schedulers.get('10.0.0.1:8002') as FakeScheduler;
    scheduler.isUp = false;
    directory.start();
    await new Promise((resolve) => setImmediate(resolve));
    expect(directory.candidates(TASK)).toEqual([]);
    scheduler.isUp = true;
    while (directory.candidates(TASK).length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await directory[Symbol.asyncDispose]();
    expect(directory.candidates(TASK)).toEqual([]);
  });

  it('looks again soon for one that was not there at first, however seldom it checks, and says once what is the matter', async () => {
    const lines: string[] = [];
    const stream = { write: (line: string) => void lines.push(line) };
    const { directory, schedulers } = await setUp(['10.0.0.1:8002'], {
      checkIntervalMs: 600_000,
      logger: createLogger({ name: 'test', stream }),
    });
    const scheduler = schedulers.get('10.0.0.1:8002') as FakeScheduler;
    scheduler.helloError = new Error('no route');
    directory.start();
    await directory.met({ timeoutMs: 60_000 });
    await directory.refresh();
    expect(lines.filter((line) => line.includes('does not answer yet'))).toEqual([expect.stringContaining('no route')]);
    scheduler.helloError = undefined;
    while (directory.candidates(TASK).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(scheduler.announced).toBe(1);
    expect(directory.isBack('10.0.0.1:8002')).toBe(false);
    await directory[Symbol.asyncDispose]();
  });

  it('remembers seeds across restarts, in the same order for everybody, without itself', async () => {
    const { directory, schedulers, seeds } = await setUp(['10.0.0.1:8002']);
    (schedulers.get('10.0.0.1:8002') as FakeScheduler).seeds = ['a-seed', 'self', 'b-seed'];
    await directory.refresh();
    await seeds.flush();
    const reopened = await PersistentSeedMemory.open(join(dir, 'seeds.json'), 'self', silentLogger);
    expect(reopened.ordered(TASK)).toEqual(seeds.ordered(TASK));
    expect(
      reopened
        .ordered(TASK)
        .map(({ hostId }) => hostId)
        .sort(),
    ).toEqual(['a-seed', 'b-seed']);
  });

  it('keeps seeds when a scheduler that just started knows none yet', async () => {
    const { directory, schedulers, seeds, clock } = await setUp(['10.0.0.1:8002']);
    const scheduler = schedulers.get('10.0.0.1:8002') as FakeScheduler;
    scheduler.seeds = ['a-seed'];
    await directory.refresh();
    scheduler.seeds = [];
    clock.ms += 200;
    await directory.refresh();
    expect(seeds.ordered(TASK)).toHaveLength(1);
  });

  it('takes a damaged file for an empty one', async () => {
    await writeFile(join(dir, 'seeds.json'), '{"version":1,"seeds":[{"hostId":""}');
    const seeds = await PersistentSeedMemory.open(join(dir, 'seeds.json'), 'self', silentLogger);
    expect(seeds.ordered(TASK)).toEqual([]);
    seeds.learn('s', [create(common.HostSchema, { id: 'x-seed', ip: '10.0.0.9', port: 4000 })]);
    await seeds.flush();
    expect(await readFile(join(dir, 'seeds.json'), 'utf8')).toContain('x-seed');
  });

  it('has downloads wait for the stream with a scheduler of ours that has just been found, and no longer than that', async () => {
    const { directory, schedulers, clock } = await setUp(['10.0.0.1:8002']);
    const scheduler = schedulers.get('10.0.0.1:8002') as FakeScheduler;
    scheduler.features = ['peers'];
    const opening = Promise.withResolvers<void>();
    const hotPieces = new PieceSet([3]);
    const linked = { announcePeer: () => ({ instructions: offering(), hotPieces }) } as unknown as LinkedPeers;
    let peers: LinkedPeers | undefined;
    directory.registerOver({ peersAt: () => peers, opened: () => opening.promise });
    await directory.refresh();
    const announce = () =>
      directory.candidates(TASK)[0]?.announcePeer({} as PeerRegistration, { signal: new AbortController().signal });
    const late = announce();
    const instruction = late?.instructions[Symbol.asyncIterator]().next();
    peers = linked;
    opening.resolve();
    expect(await instruction).toMatchObject({ value: { kind: 'parents' } });
    expect(late?.hotPieces).toBe(hotPieces);
    expect(scheduler.conversations).toBe(0);

    peers = undefined;
    clock.ms = 1001;
    const other = announce();
    expect(await other?.instructions[Symbol.asyncIterator]().next()).toMatchObject({ value: { kind: 'empty' } });
    expect(scheduler.conversations).toBe(1);
  });
});

async function* offering(): AsyncGenerator<Instruction> {
  yield { kind: 'parents', parents: [] };
}
