import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import { AsyncQueue } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { eventually, SchedulerRig, TASK_ID } from './_rig.ts';
import { VERSION } from './version.ts';

const GRID = { contentLength: 10_000_000n, pieceLength: 4_194_304n };
const A = new Uint8Array(32).fill(0xaa);
const B = new Uint8Array(32).fill(0xbb);

type Request = NonNullable<MessageInitShape<typeof swarm.LinkRequestSchema>['request']>;

/** The stream of a daemon, by hand. */
class TestLink implements AsyncDisposable {
  readonly #requests = new AsyncQueue<swarm.LinkRequest>(2_000);
  readonly #answers: AsyncIterator<swarm.LinkResponse>;
  readonly #cancel = new AbortController();

  constructor(rig: SchedulerRig, hostId?: string) {
    if (hostId !== undefined) this.say({ case: 'open', value: { hostId, version: '1' } });
    this.#answers = rig.swarm.link(this.#requests, { signal: this.#cancel.signal })[Symbol.asyncIterator]();
  }

  static async open(rig: SchedulerRig, hostId: string): Promise<TestLink> {
    await rig.announce(hostId);
    const link = new TestLink(rig, hostId);
    expect((await link.answer()).case).toBe('opened');
    return link;
  }

  say(request: Request): void {
    this.#requests.push(create(swarm.LinkRequestSchema, { request }));
  }

  vouch(pieceNumber: number, sha256 = A): void {
    this.say({ case: 'vouch', value: { taskId: TASK_ID, ...GRID, vouchers: [{ pieceNumber, sha256 }] } });
  }

  follow(): void {
    this.say({ case: 'followTask', value: { taskId: TASK_ID } });
  }

  /** The next answer. @throws what the scheduler ended the stream with */
  async answer(): Promise<swarm.LinkResponse['response']> {
    const next = await this.#answers.next();
    if (next.done === true) throw new Error('the stream ended');
    return next.value.response;
  }

  /** Vouchers until there are so many: who vouches for what, as `host piece digest`. */
  async vouchers(count: number): Promise<string[]> {
    const seen: string[] = [];
    while (seen.length < count) {
      const answer = await this.answer();
      if (answer.case !== 'taskVouchers') throw new Error(`expected vouchers, got ${answer.case ?? 'nothing'}`);
      for (const { hostId, pieceNumber, sha256 } of answer.value.vouchers)
        seen.push(`${hostId} ${pieceNumber} ${Buffer.from(sha256).toString('hex').slice(0, 2)}`);
    }
    return seen;
  }

  async lease(requestId: bigint): Promise<boolean> {
    this.say({ case: 'leaseRequest', value: { requestId, taskId: TASK_ID } });
    const answer = await this.answer();
    if (answer.case !== 'leaseAnswer') throw new Error(`expected a lease, got ${answer.case ?? 'nothing'}`);
    expect(answer.value.requestId).toBe(requestId);
    expect(answer.value.retryAfterMs > 0).toBe(!answer.value.granted);
    return answer.value.granted;
  }

  cut(): void {
    this.#cancel.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#requests.close();
    await this.#answers.return?.(undefined).catch(() => undefined);
  }
}

const gauge = async (rig: SchedulerRig, name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${rig.running.port}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
};

describe('the link of a daemon', () => {
  it('begins with an introduction of a host that has announced itself', async () => {
    await using rig = await SchedulerRig.start();
    await using stranger = new TestLink(rig, 'stranger');
    await expect(stranger.answer()).rejects.toThrow('host stranger is not known here');
    await rig.announce('a');
    await using rude = new TestLink(rig);
    rude.follow();
    await expect(rude.answer()).rejects.toThrow('begins with open');
    await using link = new TestLink(rig, 'a');
    expect(await link.answer()).toMatchObject({
      case: 'opened',
      value: { version: VERSION },
    });
  });

  it('takes the place of an older one of the same host', async () => {
    await using rig = await SchedulerRig.start();
    await using older = await TestLink.open(rig, 'a');
    await using newer = await TestLink.open(rig, 'a');
    await expect(older.answer()).rejects.toThrow('another stream');
    await using seed = await TestLink.open(rig, 'seed');
    newer.follow();
    seed.vouch(0);
    expect(await newer.vouchers(1)).toEqual(['seed 0 aa']);
    expect(await gauge(rig, 'dragonfly_scheduler_links')).toBe(2);
  });

  it('tells followers what others vouch for: what is known at once, the rest as it comes, contradictions too', async () => {
    await using rig = await SchedulerRig.start();
    await using seed = await TestLink.open(rig, 'seed');
    await using child = await TestLink.open(rig, 'child');
    seed.vouch(0);
    await eventually(async () => (await gauge(rig, 'dragonfly_scheduler_link_vouchers')) === 1);
    child.follow();
    expect(await child.vouchers(1)).toEqual(['seed 0 aa']);
    seed.vouch(1);
    child.vouch(1, B);
    expect(await child.vouchers(1)).toEqual(['seed 1 aa']);
    seed.follow();
    expect(await seed.vouchers(1)).toEqual(['child 1 bb']);
  });

  it('tells nothing more of a task that is no longer followed', async () => {
    await using rig = await SchedulerRig.start();
    await using seed = await TestLink.open(rig, 'seed');
    await using child = await TestLink.open(rig, 'child');
    child.follow();
    seed.vouch(0);
    await child.vouchers(1);
    child.say({ case: 'unfollowTask', value: { taskId: TASK_ID } });
    await eventually(async () => (await gauge(rig, 'dragonfly_scheduler_link_followed_tasks')) === 0);
    seed.vouch(1);
    child.say({ case: 'findTag', value: { requestId: 1n, registry: 'r', repository: 'a', tag: 'b', accept: '' } });
    expect((await child.answer()).case).toBe('tagAnswer');
  });

  it.each<[string, Request]>([
    [
      'vouches for others',
      { case: 'vouch', value: { taskId: TASK_ID, ...GRID, vouchers: [{ sha256: A, hostId: 'b' }] } },
    ],
    [
      'vouches with half a digest',
      { case: 'vouch', value: { taskId: TASK_ID, ...GRID, vouchers: [{ sha256: A.subarray(1) }] } },
    ],
    [
      'vouches on an impossible grid',
      {
        case: 'vouch',
        value: { taskId: TASK_ID, contentLength: 2n ** 50n, pieceLength: 1n, vouchers: [{ sha256: A }] },
      },
    ],
    ['blames without a reason', { case: 'blame', value: { taskId: TASK_ID, hostId: 'b' } }],
    [
      'records a tag without a digest',
      { case: 'recordTag', value: { record: { registry: 'r', repository: 'a', tag: 'b' } } },
    ],
    ['introduces itself twice', { case: 'open', value: { hostId: 'a' } }],
  ])('ends when it %s', async (_what, request) => {
    await using rig = await SchedulerRig.start();
    await using link = await TestLink.open(rig, 'a');
    link.say(request);
    await expect(link.answer()).rejects.toThrow(/invalid|cannot|none|missing|digest|once|layout|piece/i);
    await using again = await TestLink.open(rig, 'a');
    expect(again).toBeDefined();
  });

  it('gives leave for the origin to one at a time: returned, lost with the stream, lost with the deadline', async () => {
    await using rig = await SchedulerRig.start({ swarm: { leaseGraceMs: 50, hostLeaseMs: 3_000 } });
    await using a = await TestLink.open(rig, 'a');
    await using b = await TestLink.open(rig, 'b');
    // Somebody registered, or the scheduler knows nothing of the task.
    expect(await a.lease(1n)).toBe(false);
    await using _copy = await copyAt(rig, 'a');
    expect(await a.lease(2n)).toBe(true);
    expect(await b.lease(3n)).toBe(false);
    a.say({ case: 'leaseReturn', value: { taskId: TASK_ID } });
    await eventually(() => b.lease(4n));
    expect(await a.lease(5n)).toBe(false);
    b.cut();
    await eventually(() => a.lease(6n));
  });

  it('forgets the vouchers of a host that several others call a liar, and hears no more of them', async () => {
    await using rig = await SchedulerRig.start();
    await using liar = await TestLink.open(rig, 'liar');
    await using seed = await TestLink.open(rig, 'seed');
    liar.vouch(0, B);
    seed.vouch(0);
    await eventually(async () => (await gauge(rig, 'dragonfly_scheduler_link_vouchers')) === 2);
    for (const hostId of ['c', 'd', 'e']) {
      await using witness = await TestLink.open(rig, hostId);
      const offence = swarm.Offence.FALSE_VOUCHER;
      // Nobody is guilty of what it never said.
      witness.say({ case: 'blame', value: { taskId: TASK_ID, pieceNumber: 1, hostId: 'seed', offence } });
      witness.say({ case: 'blame', value: { taskId: TASK_ID, pieceNumber: 0, hostId: 'liar', offence } });
      expect(await witness.lease(1n)).toBe(false);
    }
    liar.vouch(1, B);
    await using child = await TestLink.open(rig, 'child');
    child.follow();
    seed.vouch(1);
    expect(await child.vouchers(2)).toEqual(['seed 0 aa', 'seed 1 aa']);
  });

  it('takes the peers of a host out of tasks that it no longer holds', async () => {
    await using rig = await SchedulerRig.start();
    await using a = await TestLink.open(rig, 'a');
    await using _copy = await copyAt(rig, 'a');
    a.say({ case: 'forgetTasks', value: { taskIds: ['unknown', TASK_ID] } });
    await eventually(async () => !(await isAvailable(rig)));
  });

  it('remembers what tags mean', async () => {
    await using rig = await SchedulerRig.start();
    await using a = await TestLink.open(rig, 'a');
    await using b = await TestLink.open(rig, 'b');
    const name = { registry: 'https://r.example', repository: 'library/nginx', tag: 'latest', accept: 'x/y' };
    const digest = `sha256:${'1'.repeat(64)}`;
    const record = { ...name, digest, mediaType: 'x/y', size: 7n, seenAtMs: BigInt(Date.now()) };
    a.say({ case: 'recordTag', value: { record } });
    await eventually(async () => (await gauge(rig, 'dragonfly_scheduler_link_tags')) === 1);
    b.say({ case: 'findTag', value: { requestId: 7n, ...name } });
    expect(await b.answer()).toMatchObject({
      case: 'tagAnswer',
      value: { requestId: 7n, records: [{ digest, size: 7n }] },
    });
    b.say({ case: 'findTag', value: { requestId: 8n, ...name, accept: 'other' } });
    expect(await b.answer()).toMatchObject({ value: { requestId: 8n, records: [] } });
  });

  it('that breaks makes the scheduler look after its host', async () => {
    await using rig = await SchedulerRig.start();
    await using link = await TestLink.open(rig, 'a');
    await using _copy = await copyAt(rig, 'a');
    // Nobody answers the health check.
    await rig.announce('a', { ip: '127.0.0.2', port: 1024 });
    link.cut();
    await eventually(async () => !(await isAvailable(rig)));
  });
});

const isAvailable = async (rig: SchedulerRig): Promise<boolean> =>
  (await rig.client.statTask({ hostId: 'a', taskId: TASK_ID })).hasAvailablePeer;

/** A host that has all of the task. */
async function copyAt(rig: SchedulerRig, hostId: string): Promise<AsyncDisposable> {
  const download = rig.register(hostId);
  await download.answer();
  download.started();
  download.finished();
  await eventually(() => isAvailable(rig));
  return download;
}
