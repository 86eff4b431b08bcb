import { describe, expect, it } from '@jest/globals';
import type { SwarmLink, VoucherBatch } from '../ports/swarm-link.ts';

const TASK = 'a'.repeat(64);
const OTHER_TASK = 'b'.repeat(64);
const GRID = { contentLength: 20_000, pieceLength: 4096 };
/** Longest that news may take to get from one host to the other, in ms. */
const PATIENCE_MS = 5_000;

/** Two hosts, `a` and `b`, that can talk; disposing it closes both. */
export interface SwarmLinkUnderTest extends AsyncDisposable {
  readonly a: SwarmLink;
  readonly b: SwarmLink;
  readonly hostIdOfA: string;
  /** Takes the scheduler away; resolves when both hosts have noticed. */
  cut(): Promise<void>;
  /** Brings back a scheduler that remembers nothing; resolves when both hosts have noticed. */
  restore(): Promise<void>;
}

/** What every SwarmLink promises. */
export function describeSwarmLink(name: string, setup: () => Promise<SwarmLinkUnderTest>): void {
  describe(`${name} as a link of the swarm`, () => {
    it('tells what others vouched for before and after they were followed, and by whom', async () => {
      await using under = await setup();
      under.a.vouch(TASK, batchOf(0));
      const { seen, stop } = follow(under.b, TASK);
      await until(() => seen().length === 1);
      under.a.vouch(TASK, batchOf(2));
      await until(() => seen().length === 2);
      expect(seen()).toEqual([
        { ...GRID, ...voucherOf(0), hostId: under.hostIdOfA },
        { ...GRID, ...voucherOf(2), hostId: under.hostIdOfA },
      ]);
      await stop();
    });

    it('keeps tasks apart', async () => {
      await using under = await setup();
      const { seen, stop } = follow(under.b, TASK);
      under.a.vouch(OTHER_TASK, batchOf(0));
      under.a.vouch(TASK, batchOf(1));
      await until(() => seen().length > 0);
      expect(seen().map(({ pieceNumber }) => pieceNumber)).toEqual([1]);
      await stop();
    });

    it('ends what is followed with its signal, without an error', async () => {
      await using under = await setup();
      const { stop } = follow(under.b, TASK);
      await expect(stop()).resolves.toBeUndefined();
    });

    it('goes on over reconnects: what is vouched for afterwards arrives', async () => {
      await using under = await setup();
      const { seen, stop } = follow(under.b, TASK);
      expect([under.a.isLinked(TASK), under.b.isLinked(TASK)]).toEqual([true, true]);
      await under.cut();
      expect([under.a.isLinked(TASK), under.b.isLinked(TASK)]).toEqual([false, false]);
      await under.restore();
      expect([under.a.isLinked(TASK), under.b.isLinked(TASK)]).toEqual([true, true]);
      under.a.vouch(TASK, batchOf(3));
      await until(() => seen().some(({ pieceNumber }) => pieceNumber === 3));
      await stop();
    });

    it('does not mind complaints and vouchers while nobody hears them', async () => {
      await using under = await setup();
      await under.cut();
      expect(() => under.a.vouch(TASK, batchOf(0))).not.toThrow();
      expect(() => under.a.blame(TASK, 0, 'somebody', 'wrongBytes')).not.toThrow();
    });

    it('gives leave to ask the origin to one host at a time, and to the next when it is given back', async () => {
      await using under = await setup();
      const { signal } = new AbortController();
      let lease = await under.a.requestLease(TASK, { signal });
      // Who gives leave may want to see that it is needed for a while.
      for (const startedAt = performance.now(); lease === undefined && performance.now() - startedAt < 4_000;) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        lease = await under.a.requestLease(TASK, { signal });
      }
      if (lease === undefined || lease === 'unlinked') throw new Error('whoever goes on asking is granted it');
      expect(await under.b.requestLease(TASK, { signal })).toBeUndefined();
      lease[Symbol.dispose]();
      let second = await under.b.requestLease(TASK, { signal });
      await until(async () => {
        second ??= await under.b.requestLease(TASK, { signal });
        return second !== undefined;
      });
      expect(second).toMatchObject({ taskId: TASK });
    });

    it('says so when nobody can be asked for leave', async () => {
      await using under = await setup();
      await under.cut();
      const { signal } = new AbortController();
      expect(await under.a.requestLease(TASK, { signal })).toBe('unlinked');
    });
  });
}

const voucherOf = (pieceNumber: number) => ({ pieceNumber, sha256: pieceNumber.toString(16).padStart(64, '0') });

const batchOf = (pieceNumber: number): VoucherBatch => ({
  ...GRID,
  vouchers: [{ ...voucherOf(pieceNumber), hostId: '' }],
});

/** Follows a task; `seen` gives each voucher once. */
function follow(link: SwarmLink, taskId: string) {
  const abort = new AbortController();
  const batches: VoucherBatch[] = [];
  const following = (async () => {
    for await (const batch of link.follow(taskId, { signal: abort.signal })) batches.push(batch);
  })();
  return {
    seen: () => {
      const all = batches.flatMap(({ vouchers, ...grid }) => vouchers.map((voucher) => ({ ...grid, ...voucher })));
      return [...new Map(all.map((voucher) => [JSON.stringify(voucher), voucher])).values()];
    },
    stop: () => {
      abort.abort();
      return following;
    },
  };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) throw new Error('the condition did not come true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
