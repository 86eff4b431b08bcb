// Downloads under random parents, a random scheduler and a random origin, in virtual time: none may hang, and no piece may be written by two.
import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type {
  Announcement,
  Instruction,
  Parent,
  PieceAnnouncement,
  PieceSink,
  ReceivedPiece,
  TurnClient,
} from '@d7y/peer-protocol';
import type { PieceRecord } from '@d7y/piece';
import { createLayout, pieceRange } from '@d7y/piece';
import { AsyncQueue, BufferPool, createLogger, delay, noTelemetry } from '@d7y/service-kit';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Audience } from './audience.ts';
import { Download } from './download.ts';
import { DEFAULT_ENGINE_OPTIONS } from './engine-options.ts';
import { IntakeBoard } from './intake-board.ts';
import { OriginTurns } from './origin-turns.ts';
import { Journal } from './journal.ts';
import { ParentStandings } from './parent-standing.ts';
import type { Origin } from './ports/origin.ts';
import type { Parents } from './ports/parents.ts';
import type { StoredTask } from './ports/task-store.ts';
import { Progress } from './progress.ts';
import { ProvenPieces } from './proven-pieces.ts';
import { ReaderPositions } from './reader-positions.ts';
import { Reputation } from './reputation.ts';
import { MemoryTaskStore } from './testing/index.ts';

const RUNS = process.env['D7Y_TEST_FULL'] === '1' ? 20_000 : 400;
const PIECE_BYTES = 64 * 1024;
/** Bytes of the origin; transfers of peers have tags of their own. */
const ORIGIN_TAG = 255;
/** A download that takes longer hangs, in ms. */
const LONGEST_MS = 900_000;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
});

afterEach(() => {
  jest.useRealTimers();
});

/** Mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const failure = (code: string, phase?: string): Error => Object.assign(new Error(code), { code, phase });

/** Watches that each piece is written by one transfer alone, and by none once it is here. */
async function watchedStore(pieces: number, random: Random): Promise<{ stored: StoredTask; wrongs: string[] }> {
  const layout = createLayout(PIECE_BYTES * pieces - Math.floor(random() * PIECE_BYTES), PIECE_BYTES);
  const stored = await new MemoryTaskStore().create({
    ...{ taskId: 'a'.repeat(64), url: 'http://origin.test/x', layout, digest: undefined },
    ...{ responseHeaders: {}, isPrivate: false },
  });
  const wrongs: string[] = [];
  const { write, recordPiece } = stored;
  stored.write = async (position, bytes) => {
    const number = Math.floor(position / PIECE_BYTES);
    if (random() < 0.3) await wait(random() * (random() < 0.05 ? 3_000 : 40));
    if (stored.finishedPieces.has(number)) wrongs.push(`piece ${number} is written when it is here`);
    await write.call(stored, position, bytes);
  };
  stored.recordPiece = (piece) => {
    if (stored.finishedPieces.has(piece.number)) wrongs.push(`piece ${piece.number} is recorded twice`);
    recordPiece.call(stored, piece);
    checks.push(check(piece));
  };
  const checks: Promise<void>[] = [];
  const check = async (piece: PieceRecord): Promise<void> => {
    const bytes = Buffer.alloc(piece.length);
    await stored.read(piece.offset, bytes);
    const tag = piece.trafficType === 'backToSource' ? ORIGIN_TAG : Number(piece.digest);
    if (bytes.some((byte) => byte !== tag)) wrongs.push(`piece ${piece.number} is not all of ${tag}`);
  };
  return { stored, wrongs };
}

/** Parents that fail their children in any way, mostly for a while only. */
function randomParents(
  stored: StoredTask,
  random: Random,
): { parents: Parents; all: Parent[]; underWay: () => number } {
  const all = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, index): Parent => {
    const peerId = `peer-${index}`;
    return {
      ...{ peerId, hostId: `host-${index}`, ip: '127.0.0.1', port: 1 + index, isSeed: random() < 0.2 },
      ...{ idc: undefined, location: undefined, isPrivate: false, pieceLength: undefined },
      contentLength: stored.layout.contentLength,
      offer: create(common.PeerSchema, { id: peerId, host: { id: `host-${index}` } }),
    };
  });
  const badness = all.map(() => random() ** 2);
  let transfers = 0;
  let underWay = 0;

  const receive = async (
    badness: number,
    { number, expected }: Parameters<Parents['fetchPiece']>[0],
    sink: PieceSink,
    { signal }: Parameters<Parents['fetchPiece']>[2],
  ): Promise<ReceivedPiece> => {
    const tag = transfers++ % ORIGIN_TAG;
    const isBad = (share: number): boolean => random() < badness * share;
    // Also after an abort it takes time until the last write has landed.
    const pause = async (ms: number): Promise<void> => {
      await delay(ms, { signal }).catch(() => undefined);
      if (!signal.aborted) return;
      if (random() < 0.3) await wait(random() * 2_000);
      throw signal.reason;
    };
    await pause(random() * 50);
    if (isBad(0.1)) throw failure('PIECE_REFUSED');
    if (isBad(0.1)) throw failure('PIECE_RECEIVER_LOST');
    if (isBad(0.05)) throw failure('PIECE_TRANSFER', 'connect');
    if (isBad(0.2)) await pause(random() * 9_000);
    if (isBad(0.05)) throw failure('PIECE_TRANSFER', 'header');
    const parts = 1 + Math.floor(random() * 4);
    for (let part = 0; part < parts; part++) {
      const start = Math.floor((expected.length * part) / parts);
      const end = Math.floor((expected.length * (part + 1)) / parts);
      if (isBad(0.3)) await pause(random() * 4_900);
      if (isBad(0.05)) {
        await pause(5_000);
        throw failure('PIECE_STALLED');
      }
      if (isBad(0.05)) throw failure('PIECE_TRANSFER', 'body');
      if (part === parts - 1 && isBad(0.05)) throw failure('PIECE_DIGEST_MISMATCH');
      await pause(random() * 100);
      await sink.write(expected.start + start, [Buffer.alloc(end - start, tag)]);
    }
    return { number, offset: expected.start, length: expected.length, digest: String(tag), sha256: undefined };
  };

  const parents: Parents = {
    async *syncPieces({ port }, { interested }, { signal, onAnswer }): AsyncIterable<PieceAnnouncement> {
      const bad = badness[port - 1] ?? 0;
      await delay(random() * 20, { signal });
      if (random() < bad * 0.1) throw failure('UNAVAILABLE');
      if (random() < bad * 0.1) await delay(5_000, { signal }).then(() => Promise.reject(failure('PARENT_SILENT')));
      onAnswer?.();
      for (const number of interested) {
        if (random() < bad * 0.3) continue;
        if (random() < 0.3) await delay(random() * 500, { signal });
        const { start: offset, length } = pieceRange(stored.layout, number);
        yield { number, offset, length, ip: '127.0.0.1', tcpPort: port, takesTurns: true };
      }
    },
    watchLoad: async function* () {},
    fetchPiece: async (request, sink, options) => {
      underWay++;
      try {
        return await receive(badness[request.tcpPort - 1] ?? 0, request, sink, options);
      } finally {
        underWay--;
      }
    },
    triggerSeed: async (_, __, { signal }) => {
      await delay(random() * 1_000, { signal });
      if (random() < 0.3) throw failure('UNAVAILABLE');
      return { contentLength: stored.layout.contentLength };
    },
  };
  return { parents, all, underWay: () => underWay };
}

/** Turns of the same parents: rules that change, offers that come at any time or never, parents that break off after an offer. */
function randomTurns(random: Random): { turns: TurnClient; stop: () => void } {
  const isStopped = { is: false };
  const turns: TurnClient = {
    setLevel: () => undefined,
    follow: (_parent, _taskId, listener) => {
      let isOpen = true;
      const offers = random() < 0.8;
      const reasons = ['turn', 'fresh', 'resting'] as const;
      const live = async (): Promise<void> => {
        await wait(random() * 300);
        for (let event = 0; event < 200 && isOpen && !isStopped.is; event++) {
          if (event === 0 || random() < 0.1) listener.ruled(random() < 0.8);
          else if (event % 10 === 0) listener.serving();
          else if (offers) listener.offered(reasons[Math.floor(random() * 3)] ?? 'turn', { endsIn: () => undefined });
          await wait(random() * (random() < 0.05 ? 5_000 : 200));
        }
      };
      void live();
      return { wants: () => undefined, [Symbol.dispose]: () => void (isOpen = false) };
    },
  };
  return { turns, stop: () => void (isStopped.is = true) };
}

/** An origin that works, at times slowly, and where `fails` says so not at all. */
const randomOrigin = (stored: StoredTask, random: Random, fails: boolean): Origin => ({
  probe: () => Promise.reject(new Error('nobody asks')),
  fetch: async (_, range, { signal }) => {
    await delay(random() * 100, { signal });
    if (fails) throw failure('ORIGIN_UNREACHABLE');
    const { start, length } = range ?? { start: 0, length: stored.layout.contentLength };
    return {
      chunks: (async function* () {
        for (let at = start; at < start + length; at += 16 * 1024) {
          if (random() < 0.2) await delay(random() * 300, { signal });
          yield Buffer.alloc(Math.min(16 * 1024, start + length - at), ORIGIN_TAG);
        }
      })(),
    };
  },
});

/** A scheduler that offers parents, sends to the origin, or breaks off. */
function randomScheduler(all: readonly Parent[], random: Random): Announcement {
  const queue = new AsyncQueue<Instruction>(100);
  const answer = (): void => {
    const parents = all.filter(() => random() < 0.7);
    setTimeout(() => {
      if (random() < 0.1) queue.fail(new Error('connection reset'));
      else if (parents.length > 0 && random() < 0.8) queue.push({ kind: 'parents', parents });
      else queue.push({ kind: 'backToSource', reason: undefined });
    }, random() * 200);
  };
  answer();
  const end = (): Promise<void> => Promise.resolve(queue.close());
  return {
    instructions: queue,
    started: () => undefined,
    backToSourceStarted: () => undefined,
    pieceFinished: () => undefined,
    pieceFailed: () => undefined,
    reschedule: answer,
    finished: end,
    backToSourceFinished: end,
    failed: end,
    backToSourceFailed: end,
    abort: () => void end(),
  };
}

/** @returns what went wrong with the download of this seed */
async function downloadOf(seed: number): Promise<string[]> {
  const random = randomFrom(seed);
  const { stored, wrongs } = await watchedStore(1 + Math.floor(random() * 12), random);
  const { parents: untimed, all, underWay } = randomParents(stored, random);
  const { turns, stop: stopTurns } = randomTurns(random);
  const parents: Parents = random() < 0.7 ? { ...untimed, turns } : untimed;
  const fails = random() < 0.15;
  const progress = new Progress(stored);
  const abort = new AbortController();
  const { signal } = abort;
  const faults: string[] = [];
  const logger = createLogger({
    name: 'test',
    level: 'error',
    stream: { write: (line: string) => void faults.push(line) },
  });
  const hasScheduler = random() < 0.6;
  const scheduler = { address: 'scheduler', announcePeer: () => randomScheduler(all, random) };
  const seeds = all.map(({ hostId, ip, port }) => ({ hostId, ip, port }));
  const leave = ['grant', 'refuse', 'unlinked', 'none'][Math.floor(random() * 4)];
  const clock = (): number => Date.now();
  const buffers = new BufferPool({ bufferBytes: PIECE_BYTES, maxBuffers: 4 });
  const download = new Download({
    ...{
      progress,
      isPrivate: false,
      opened: undefined,
      readers: new ReaderPositions(),
      audience: new Audience(),
      signal,
    },
    registration: {
      ...{ taskId: stored.taskId, url: stored.url, hostId: 'self', peerId: 'self-1', tag: undefined, priority: 0 },
      ...{ application: undefined, digest: undefined, filteredQueryParams: [], requestHeaders: {}, range: undefined },
      ...{ requestedPieceLength: undefined, needBackToSource: false, metadataOnly: false },
      ...{ contentForCalculatingTaskId: undefined, enableTaskIdBasedBlobDigest: false },
      contentLength: stored.layout.contentLength,
      pieceLength: stored.layout.pieceLength,
      concurrentPieceCount: 1 + Math.floor(random() * 8),
    },
    originRequest: { url: stored.url, headers: {}, credentials: {} },
    mayAskOrigin: true,
    journal: new Journal(clock),
    buffers,
    proven: new ProvenPieces({ hasher: undefined, buffers, signal }),
    reputation: new Reputation(clock),
    standings: new ParentStandings({ parents, host: {}, logger }),
    intake: new IntakeBoard(parents.turns, clock),
    originTurns: new OriginTurns(),
    options: { ...DEFAULT_ENGINE_OPTIONS },
    keepGoing: () => ({ [Symbol.dispose]: () => undefined }),
    components: {
      host: { hostId: 'self', ip: '127.0.0.1', hostname: 'self', isSeed: false },
      store: new MemoryTaskStore(),
      origin: randomOrigin(stored, random, fails),
      schedulers: { candidates: () => (hasScheduler ? [scheduler] : []) },
      seeds: { ordered: () => seeds },
      parents,
      link:
        leave === 'none'
          ? undefined
          : {
              requestLease: async (taskId, options) => {
                await delay(random() * 500, options);
                if (leave === 'unlinked') return leave;
                return leave === 'grant' && random() < 0.7 ? { taskId, [Symbol.dispose]: () => undefined } : undefined;
              },
              vouch: () => undefined,
              follow: async function* () {},
              followParent: async function* () {},
              isLinked: () => true,
              blame: () => undefined,
            },
      readBuffers: buffers,
      tracer: noTelemetry().tracer,
      logger,
      events: {
        taskStarted: () => undefined,
        taskEnded: () => undefined,
        pieceReceived: () => undefined,
        prefetchStarted: () => undefined,
        prefetchFailed: () => undefined,
        parentBlamed: () => undefined,
      },
      clock,
      random,
      uuid: () => 'uuid',
    },
  });
  progress.want({ start: 0, length: stored.layout.contentLength });
  const outcome: { is: 'running' | 'done' | 'failed'; error?: unknown } = { is: 'running' };
  download.run().then(
    () => (outcome.is = 'done'),
    (error: unknown) => Object.assign(outcome, { is: 'failed', error }),
  );
  const startedAtMs = Date.now();
  const pass = async (isOver: () => boolean): Promise<void> => {
    while (!isOver() && Date.now() - startedAtMs < LONGEST_MS) {
      await jest.advanceTimersToNextTimerAsync();
      await new Promise(setImmediate);
    }
  };
  await pass(() => outcome.is !== 'running');
  const isOver = outcome.is !== 'running';
  abort.abort(new Error('over'));
  stopTurns();
  let isSettled = false;
  void download.settle().then(() => (isSettled = true));
  await pass(() => isSettled);
  jest.clearAllTimers();
  if (!isOver) wrongs.push('it hangs');
  if (outcome.is === 'failed' && !fails) wrongs.push(`it fails although the origin works: ${String(outcome.error)}`);
  if (outcome.is === 'done' && !progress.isWhole) wrongs.push('it ends before all is here');
  if (!isSettled || underWay() > 0) wrongs.push('transfers go on');
  return [...wrongs, ...faults];
}

describe('a download with random parents, scheduler, leases and origin', () => {
  it('ends, with every piece written by one transfer, and no claim that nobody holds', async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const wrongs = await downloadOf(seed);
      if (wrongs.length > 0) throw new Error(`seed ${seed}: ${wrongs.join('; ')}`);
    }
    expect(RUNS).toBeGreaterThan(0);
  }, 1_200_000);
});
