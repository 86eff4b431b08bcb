import type { Announcement, Instruction, Parent, PeerRegistration } from '@d7y/peer-protocol';
import { PieceSet } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import type { SchedulerConnection } from '../ports/schedulers.ts';

const TASK = 'a'.repeat(64);
const PIECE_LENGTH = 4 * 2 ** 20;
const PIECE_COUNT = 3;
const CONTENT_LENGTH = PIECE_COUNT * PIECE_LENGTH;
const signal = new AbortController().signal;

/** A scheduler that knows nothing yet, grants one lease at a time, and has no seeds. */
export interface SchedulerConnectionUnderTest extends AsyncDisposable {
  /** A host of ours, introduced and announced. */
  connect(hostId: string): Promise<SchedulerConnection>;
  /** Takes the scheduler away. */
  cut(): Promise<void>;
}

/** What every SchedulerConnection promises, with a real scheduler behind it. */
export function describeSchedulerConnection(name: string, setup: () => Promise<SchedulerConnectionUnderTest>): void {
  describe(`${name} as a connection to a scheduler`, () => {
    it('sends the first to the origin, and the second to the first', async () => {
      await using under = await setup();
      const first = join(await under.connect('first'), 'first');
      expect(await first.next()).toMatchObject({ kind: 'backToSource' });
      first.announcement.backToSourceStarted('as told');
      const second = join(await under.connect('second'), 'second', {
        contentLength: undefined,
        pieceLength: undefined,
      });
      expect(await second.parents()).toMatchObject([
        {
          ...{ peerId: 'first-peer', hostId: 'first', ip: '127.0.0.1', port: 4000, isSeed: false, idc: 'here' },
          ...{ contentLength: CONTENT_LENGTH, isPrivate: false },
        },
      ]);
      second.announcement.abort();
      first.announcement.abort();
    });

    it('carries a download through to its end, after which the instructions end, and the copy is offered', async () => {
      await using under = await setup();
      const first = join(await under.connect('first'), 'first');
      await first.next();
      first.announcement.backToSourceStarted('as told');
      for (let number = 0; number < PIECE_COUNT; number++) first.announcement.pieceFinished(piece(number));
      const second = join(await under.connect('second'), 'second');
      await second.parents();
      second.announcement.started();
      for (let number = 0; number < PIECE_COUNT; number++)
        second.announcement.pieceFinished(piece(number, 'first-peer'));
      await first.announcement.backToSourceFinished(CONTENT_LENGTH, PIECE_COUNT);
      await second.announcement.finished(CONTENT_LENGTH, PIECE_COUNT);
      expect(await first.next()).toBeUndefined();
      const third = join(await under.connect('third'), 'third');
      expect(idsOf(await third.parents()).sort()).toEqual(['first-peer', 'second-peer']);
      third.announcement.abort();
    });

    it('lets a host say that it holds everything', async () => {
      await using under = await setup();
      const holder = join(await under.connect('holder'), 'holder', { metadataOnly: true });
      expect(await holder.next()).toEqual({ kind: 'metadataOnly' });
      holder.announcement.started();
      await holder.announcement.finished(CONTENT_LENGTH, PIECE_COUNT);
      const child = join(await under.connect('child'), 'child');
      expect(idsOf(await child.parents())).toEqual(['holder-peer']);
      child.announcement.abort();
    });

    it('says that there is nothing to fetch', async () => {
      await using under = await setup();
      const peer = join(await under.connect('a'), 'a', { contentLength: 0, pieceLength: PIECE_LENGTH });
      expect(await peer.next()).toEqual({ kind: 'empty' });
      peer.announcement.abort();
    });

    it('does not name again the parents that were of no use', async () => {
      await using under = await setup();
      for (const id of ['one', 'two']) {
        const holder = join(await under.connect(id), id, { metadataOnly: true });
        await holder.next();
        await holder.announcement.finished(CONTENT_LENGTH, PIECE_COUNT);
      }
      const child = join(await under.connect('child'), 'child');
      const offered = await child.parents();
      expect(offered).toHaveLength(2);
      child.announcement.started();
      child.announcement.reschedule(offered.slice(0, 1), 'it has nothing');
      expect(idsOf(await child.parents())).toEqual(idsOf(offered.slice(1)));
      child.announcement.pieceFailed(0, offered[1]?.peerId ?? '');
      child.announcement.reschedule(offered, 'none has anything');
      expect(await child.next()).toMatchObject({ kind: 'backToSource' });
      child.announcement.abort();
    });

    it.each<[string, (announcement: Announcement) => unknown]>([
      ['fails', (announcement) => announcement.failed('the disk is full')],
      ['fails at the origin', (announcement) => announcement.backToSourceFailed('404', { status: 404, headers: {} })],
      ['breaks off', (announcement) => announcement.abort()],
    ])('passes the lease on when its holder %s', async (_, leave) => {
      await using under = await setup();
      const first = join(await under.connect('first'), 'first');
      await first.next();
      const second = join(await under.connect('second'), 'second');
      await leave(first.announcement);
      expect(await second.next()).toMatchObject({ kind: 'backToSource' });
      expect(await first.next()).toBeUndefined();
      second.announcement.abort();
    });

    it('knows what is here of a download that is taken up again', async () => {
      await using under = await setup();
      const connection = await under.connect('first');
      const first = join(connection, 'first');
      await first.next();
      first.announcement.backToSourceStarted('as told');
      const again = join(connection, 'first', { heldPieces: new PieceSet([0, 1]) });
      expect(await again.next()).toMatchObject({ kind: 'backToSource' });
      for (const number of [0, 1, 2]) again.announcement.pieceFinished(piece(number));
      await again.announcement.backToSourceFinished(CONTENT_LENGTH, PIECE_COUNT);
      const second = join(await under.connect('second'), 'second');
      expect(idsOf(await second.parents())).toEqual(['first-peer']);
      second.announcement.abort();
    });

    it('breaks with the scheduler, and resolves last words all the same', async () => {
      await using under = await setup();
      const reading = join(await under.connect('reading'), 'reading');
      await reading.next();
      const parting = join(await under.connect('parting'), 'parting');
      const broken = expect(reading.next()).rejects.toThrow();
      await under.cut();
      await broken;
      await parting.announcement.failed('the scheduler is gone');
    });
  });
}

interface Joined {
  readonly announcement: Announcement;
  /** The next instruction; undefined once they have ended. */
  next(): Promise<Instruction | undefined>;
  /** The parents of the next instruction. */
  parents(): Promise<readonly Parent[]>;
}

function join(connection: SchedulerConnection, hostId: string, more: Partial<PeerRegistration> = {}): Joined {
  const announcement = connection.announcePeer(registration(hostId, more), { signal });
  const instructions = announcement.instructions[Symbol.asyncIterator]();
  const next = async (): Promise<Instruction | undefined> => {
    const result = await instructions.next();
    return result.done === true ? undefined : result.value;
  };
  return {
    announcement,
    next,
    parents: async () => {
      const instruction = await next();
      if (instruction?.kind !== 'parents') throw new Error(`expected parents, got ${instruction?.kind ?? 'the end'}`);
      return instruction.parents;
    },
  };
}

const idsOf = (parents: readonly Parent[]): string[] => parents.map(({ peerId }) => peerId);

function registration(hostId: string, more: Partial<PeerRegistration>): PeerRegistration {
  return {
    ...{ hostId, taskId: TASK, peerId: `${hostId}-peer`, url: 'https://registry.example/v2/a/blobs/x' },
    ...{ tag: undefined, application: undefined, digest: undefined, filteredQueryParams: [], requestHeaders: {} },
    ...{ requestedPieceLength: undefined, priority: 0, range: undefined },
    ...{ contentLength: CONTENT_LENGTH, pieceLength: PIECE_LENGTH, needBackToSource: false, metadataOnly: false },
    ...{ concurrentPieceCount: 4, contentForCalculatingTaskId: undefined, enableTaskIdBasedBlobDigest: true },
    ...more,
  };
}

const piece = (number: number, parentId?: string) => ({
  ...{ number, offset: number * PIECE_LENGTH, length: PIECE_LENGTH, digest: 'crc32:1', costMs: 5, createdAtMs: 1 },
  ...(parentId === undefined ? {} : { parentId }),
  trafficType: parentId === undefined ? ('backToSource' as const) : ('remotePeer' as const),
});
