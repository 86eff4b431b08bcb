import { describe, expect, it } from '@jest/globals';
import { createLayout } from '@d7y/piece';
import { createLogger } from '@d7y/service-kit';
import { Audience } from './audience.ts';
import { Progress } from './progress.ts';
import { Reputation } from './reputation.ts';
import { MemorySwarm, MemoryTaskStore } from './testing/index.ts';
import { Verification } from './verification.ts';

const TASK_ID = 'a'.repeat(64);
const [TRUTH, LIE] = ['1'.repeat(64), '2'.repeat(64)] as const;

/** Two pieces; `mallory` vouches for a lie about the first. */
async function setUp() {
  const layout = createLayout(8000, 4000);
  const stored = await new MemoryTaskStore().create({
    ...{ taskId: TASK_ID, url: 'http://x.test/', layout, responseHeaders: {}, isPrivate: false },
    digest: `sha256:${TRUTH}`,
  });
  const swarm = new MemorySwarm();
  const reputation = new Reputation(() => 0);
  const progress = new Progress(stored);
  progress.want({ start: 0, length: 8000 });
  const blamed: string[] = [];
  const audience = new Audience();
  const lateHashes = { add: (number: number) => Promise.resolve(progress.stored.piece(number)) };
  const verification = new Verification({
    ...{ progress, reputation, audience, lateHashes },
    link: swarm.linkOf('me'),
    hostId: 'me',
    hostOf: (peerId) => peerId,
    onBlamed: (hostId, offence) => void blamed.push(`${hostId}: ${offence}`),
    onSuspected: (peerId) => reputation.blame(peerId, 'wrongBytes'),
    onDiscarded: () => undefined,
    logger: createLogger({ name: 'test', level: 'silent' }),
    signal: new AbortController().signal,
  });
  const grid = { contentLength: 8000, pieceLength: 4000 };
  swarm.linkOf('mallory').vouch(TASK_ID, { ...grid, vouchers: [{ pieceNumber: 0, sha256: LIE, hostId: '' }] });
  verification.meet([]);
  await new Promise(setImmediate);
  const finish = (isVerified: boolean) =>
    progress.finish({
      ...{ number: 0, offset: 0, length: 4000, digest: 'crc32:1', sha256: TRUTH, parentId: 'second', isVerified },
      ...{ trafficType: 'remotePeer', costMs: 1, createdAtMs: 1 },
    });
  return { verification, swarm, reputation, blamed, finish };
}

describe('Verification', () => {
  it('refuses bytes that contradict the only voucher, and doubts the voucher when a second host sends the same', async () => {
    const { verification, reputation, finish, swarm, blamed } = await setUp();
    expect(() => verification.judge(0, TRUTH, 'first')).toThrow('is vouched for');
    reputation.blame('first', 'wrongBytes');
    verification.turnedAway(0, 'first', 'wrongBytes');
    // It says so twice: that is no second opinion.
    expect(() => verification.judge(0, TRUTH, 'first')).toThrow('is vouched for');
    expect(verification.judge(0, TRUTH, 'second')).toBe(false);
    expect(reputation.isTrusted('first')).toBe(true);
    finish(false);
    await verification.conclude();
    expect(blamed).toEqual(['mallory: falseVoucher']);
    expect(swarm.complaints.map(({ hostId }) => hostId)).toEqual(['mallory']);
  });

  it('does not take the word of a host against its own voucher for a second opinion', async () => {
    const { verification } = await setUp();
    expect(() => verification.judge(0, TRUTH, 'first')).toThrow('is vouched for');
    expect(() => verification.judge(0, TRUTH, 'mallory')).toThrow('is vouched for');
  });

  it('tells the scheduler at once of a parent whose bytes contradict what it says of them itself, and once only', async () => {
    const { verification, swarm } = await setUp();
    verification.turnedAway(1, 'corrupt', 'wrongBytes');
    verification.turnedAway(1, 'corrupt', 'wrongBytes');
    verification.turnedAway(1, 'slow', 'stalled');
    expect(swarm.complaints).toMatchObject([{ hostId: 'corrupt', pieceNumber: 1, blamedFor: 'wrongBytes' }]);
  });
});
