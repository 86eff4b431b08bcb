import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type { Parent } from '@d7y/peer-protocol';
import { createLogger } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { forever } from './_slow-transfer.ts';
import type { HostLoad } from './index.ts';
import { idleOf, ParentStandings } from './parent-standing.ts';

const parent = (hostId: string, more: Partial<Parent> = {}): Parent => ({
  ...{ peerId: `${hostId}-peer`, hostId, ip: '127.0.0.1', port: 1, isSeed: false, isPrivate: false },
  ...{ idc: undefined, location: undefined, contentLength: undefined, pieceLength: undefined },
  offer: create(common.PeerSchema, { id: hostId }),
  ...more,
});

/** Hosts that tell this load once and then nothing. */
function standingsWith(loads: Readonly<Record<string, HostLoad>>, host: { idc?: string; location?: string } = {}) {
  const open: string[] = [];
  const standings = new ParentStandings({
    host,
    logger: createLogger({ name: 'test', level: 'silent' }),
    parents: {
      watchLoad: async function* (address, { signal }) {
        const { hostId } = address as Parent;
        open.push(hostId);
        try {
          const load = loads[hostId];
          if (load !== undefined) yield load;
          await forever(signal);
        } finally {
          open.splice(open.indexOf(hostId), 1);
        }
      },
    },
  });
  return { standings, open };
}

const settle = (): Promise<void> => new Promise(setImmediate);

describe('ParentStandings', () => {
  it('weighs by idle bandwidth, ten gigabits where nothing is known', async () => {
    const { standings } = standingsWith({ busy: { maxTxBps: 1e9, txBps: 0.9e9 }, full: { maxTxBps: 1e9, txBps: 2e9 } });
    const hosts = ['busy', 'full', 'unknown'].map((name) => parent(name));
    for (const host of hosts) standings.use(host);
    await settle();
    expect(hosts.map((host) => standings.weight(host))).toEqual([1e8, 1e8, 1e10]);
    expect(idleOf({ maxTxBps: 1e9, txBps: 4e8 })).toBe(6e8);
    expect(idleOf({ maxTxBps: 0, txBps: 0 })).toBeUndefined();
  });

  it('follows each host once, and only while somebody uses it', async () => {
    const { standings, open } = standingsWith({ a: { maxTxBps: 1e9, txBps: 0 } });
    const uses = [standings.use(parent('a')), standings.use(parent('a'))];
    await settle();
    expect(open).toEqual(['a']);
    uses[0]?.[Symbol.dispose]();
    await settle();
    expect(open).toEqual(['a']);
    uses[1]?.[Symbol.dispose]();
    await settle();
    expect(open).toEqual([]);
    expect(standings.weight(parent('a'))).toBe(1e10);
  });

  it('remembers where a host serves pieces, until nothing is there or the host is reached in another way', () => {
    const { standings } = standingsWith({});
    const address = { ip: '127.0.0.1', tcpPort: 2, keepsAlive: true };
    expect(standings.pieceServerOf(parent('a'))).toBeUndefined();
    standings.learnedPieceServer(parent('a'), address);
    expect(standings.pieceServerOf(parent('a', { peerId: 'another-task' }))).toBe(address);
    expect(standings.pieceServerOf(parent('a', { port: 3 }))).toBeUndefined();
    expect(standings.pieceServerOf(parent('a', { ip: '127.0.0.2' }))).toBeUndefined();
    expect(standings.pieceServerOf(parent('b'))).toBeUndefined();
    standings.lostPieceServer('a');
    expect(standings.pieceServerOf(parent('a'))).toBeUndefined();
  });

  it('prefers who is near', () => {
    const { standings } = standingsWith({}, { idc: 'one', location: 'eu|berlin|rack-1' });
    const far = standings.weight(parent('far', { idc: 'two', location: 'us|berlin' }));
    const city = standings.weight(parent('city', { location: 'EU|Berlin|rack-2' }));
    const hall = standings.weight(parent('hall', { idc: 'ONE', location: 'eu|berlin|rack-1' }));
    expect([city / far, hall / far]).toEqual([1.5 ** 2, 4 * 1.5 ** 3]);
  });

  it('prefers who delivers, and forgives in time', () => {
    const { standings } = standingsWith({});
    for (let round = 0; round < 5; round++) {
      standings.succeeded('fast', 4e6, 100);
      standings.succeeded('slow', 4e6, 4_000);
      standings.failed('bad');
    }
    const [fast, slow, bad, unknown] = ['fast', 'slow', 'bad', 'new'].map((name) => standings.weight(parent(name)));
    expect(fast).toBeGreaterThan(unknown ?? 0);
    expect(slow).toBeLessThan((unknown ?? 0) / 4);
    expect(bad).toBeLessThan((unknown ?? 0) / 4);
    for (let round = 0; round < 20; round++) standings.succeeded('bad', 4e6, 100);
    expect(standings.weight(parent('bad'))).toBeGreaterThan((unknown ?? 0) / 2);
  });
});
