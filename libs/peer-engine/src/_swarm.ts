import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type {
  Announcement,
  Instruction,
  Parent,
  PeerRegistration,
  PieceAnnouncement,
  PieceSink,
  ReceivedPiece,
  TurnClient,
} from '@d7y/peer-protocol';
import { createLayout, pieceDigestOf } from '@d7y/piece';
import { AsyncQueue, BufferPool, createLogger, delay, noTelemetry } from '@d7y/service-kit';
import { forever, transfer } from './_slow-transfer.ts';
import type {
  EngineLimits,
  EngineOptions,
  OriginLease,
  Parents,
  RememberedSeed,
  SchedulerConnection,
  SwarmLink,
  TaskRequest,
} from './index.ts';
import { DEFAULT_ENGINE_OPTIONS, Engine } from './index.ts';
import type { MemoryOrigin, MemorySwarm } from './testing/index.ts';
import { MemoryTaskStore } from './testing/index.ts';

export const MIB = 2 ** 20;

/** What one peer told the scheduler, in order. */
export type Report = readonly [what: string, ...details: unknown[]];

/** A scheduler in memory: the first peer of a task gets the origin, the others all peers before them. */
export class FakeScheduler implements SchedulerConnection {
  readonly address = 'scheduler';
  isUp = true;
  /** Is there, and breaks off every conversation. */
  isRefusing = false;
  /** It came back a moment ago. */
  isBack = false;
  /** Takes registrations and never answers. */
  isSilent = false;
  readonly registrations: PeerRegistration[] = [];
  readonly reports = new Map<string, Report[]>();
  readonly #conversations = new Set<AsyncQueue<Instruction>>();
  /** Peers of each task in order of arrival, with what they may be offered as. */
  readonly #peers = new Map<string, Parent[]>();
  /** What a peer is told instead of the usual. */
  answer: (registration: PeerRegistration) => Instruction | undefined = () => undefined;
  readonly #cluster: FakeCluster;

  constructor(cluster: FakeCluster) {
    this.#cluster = cluster;
  }

  announcePeer(registration: PeerRegistration): Announcement {
    this.registrations.push(registration);
    const reports: Report[] = [];
    this.reports.set(registration.peerId, reports);
    const queue = new AsyncQueue<Instruction>(100);
    this.#conversations.add(queue);
    const end = (...report: Report): Promise<void> => {
      reports.push(report);
      queue.close();
      return Promise.resolve();
    };
    if (!this.isUp || this.isRefusing) queue.fail(new Error('connection refused'));
    else if (!this.isSilent) queue.push(this.#instruct(registration));
    return {
      instructions: queue,
      started: () => void reports.push(['started']),
      backToSourceStarted: () => void reports.push(['backToSourceStarted']),
      pieceFinished: (piece) => void reports.push(['pieceFinished', piece.number, piece.trafficType]),
      pieceFailed: (number, parentId) => void reports.push(['pieceFailed', number, parentId]),
      reschedule: (parents, reason) => {
        reports.push(['reschedule', parents.map(({ peerId }) => peerId), reason]);
        queue.push(this.others());
      },
      finished: () => end('finished'),
      backToSourceFinished: () => end('backToSourceFinished'),
      failed: (reason) => end('failed', reason),
      backToSourceFailed: (reason) => end('backToSourceFailed', reason),
      abort: () => void end('aborted'),
    };
  }

  /** What it answers when others are asked for. */
  others: () => Instruction = () => ({ kind: 'backToSource', reason: 'nobody else has it' });

  /** Dies: every conversation breaks. */
  die(): void {
    this.isUp = false;
    for (const queue of this.#conversations) queue.fail(new Error('connection reset'));
  }

  /** Lets a peer that nobody announced be offered. */
  addPeer(taskId: string, parent: Parent): void {
    this.#peers.set(taskId, [...(this.#peers.get(taskId) ?? []), parent]);
  }

  #instruct(registration: PeerRegistration): Instruction {
    const parents = this.#peers.get(registration.taskId) ?? [];
    const { hostId, peerId, taskId, contentLength } = registration;
    this.addPeer(taskId, this.#cluster.asParent(hostId, peerId, contentLength ?? parents[0]?.contentLength));
    const special = this.answer(registration);
    if (special !== undefined) return special;
    if (registration.metadataOnly) return { kind: 'metadataOnly' };
    return parents.length === 0 || registration.needBackToSource
      ? { kind: 'backToSource', reason: undefined }
      : { kind: 'parents', parents };
  }
}

/** How a member of the cluster serves pieces: truly, or in one of the ways in which parents fail their children. */
export type Behaviour =
  'good' | 'corrupt' | 'lying' | 'silent' | 'mute' | 'refusing' | 'gone' | 'hanging' | 'deaf' | 'cutting' | 'oneByOne';

/** How a member of the cluster is made. */
export interface MemberOptions {
  readonly isSeed?: boolean;
  readonly store?: MemoryTaskStore;
  readonly limits?: EngineLimits;
}

/** Several engines whose parents, scheduler and origin are in memory. */
export class FakeCluster {
  readonly scheduler = new FakeScheduler(this);
  readonly engines = new Map<string, { engine: Engine; store: MemoryTaskStore; port: number }>();
  readonly behaviour = new Map<string, Behaviour>();
  /** Of hosts that send one piece at a time: when all uploads begun or waiting are over. */
  readonly #turns = new Map<string, Promise<void>>();
  /** Pieces asked of each host. */
  readonly asked = new Map<string, number>();
  /** Times that each host was asked which pieces it has. */
  readonly synced = new Map<string, number>();
  /** Transfers of pieces at this moment, and the most there ever were at a time. */
  underWay = 0;
  mostUnderWay = 0;
  /** Bytes per second of one transfer from each host; as fast as it goes where there is none. */
  readonly rates = new Map<string, number>();
  /** What members tell each other beyond the published protocol; nothing while undefined. */
  swarm: MemorySwarm | undefined;
  /** Who gives leave to fetch late pieces from the origin. */
  link: SwarmLink | undefined;
  /** What members speak of turns with, from then on. */
  turns: TurnClient | undefined;
  readonly seeds: RememberedSeed[] = [];
  readonly blamed: string[] = [];
  readonly prefetches = { started: 0, failed: 0 };
  /** Longest a child waits for a silent parent's header, in ms. */
  headerTimeoutMs = 20;
  readonly #origin: MemoryOrigin;
  readonly #options: EngineOptions;

  constructor(
    origin: MemoryOrigin,
    timeouts: Partial<EngineOptions['timeouts']> = {},
    options: Partial<EngineOptions> = {},
  ) {
    this.#origin = origin;
    this.#options = {
      ...DEFAULT_ENGINE_OPTIONS,
      ...options,
      timeouts: { ...DEFAULT_ENGINE_OPTIONS.timeouts, ...timeouts },
    };
  }

  add(hostId: string, { isSeed = false, store = new MemoryTaskStore(), limits }: MemberOptions = {}): Engine {
    const port = 5000 + this.engines.size;
    let peers = 0;
    const engine = new Engine(
      {
        host: { hostId, ip: '127.0.0.1', hostname: hostId, isSeed },
        store,
        origin: this.#origin,
        schedulers: {
          candidates: () => (this.scheduler.isUp ? [this.scheduler] : []),
          isBack: () => this.scheduler.isBack,
        },
        seeds: { ordered: () => this.seeds },
        parents: this.#parents(hostId),
        link: this.swarm?.linkOf(hostId) ?? this.link,
        limits,
        readBuffers: new BufferPool({ bufferBytes: MIB, maxBuffers: 16 }),
        tracer: noTelemetry().tracer,
        logger: createLogger({ name: hostId, level: 'fatal' }),
        events: {
          taskStarted: () => undefined,
          taskEnded: () => undefined,
          pieceReceived: () => undefined,
          prefetchStarted: () => void this.prefetches.started++,
          prefetchFailed: () => void this.prefetches.failed++,
          parentBlamed: (blamed, reason) => void this.blamed.push(`${blamed}: ${reason}`),
        },
        clock: () => Date.now(),
        random: () => 0.5,
        uuid: () => `${hostId}-${peers++}`,
      },
      this.#options,
    );
    this.engines.set(hostId, { engine, store, port });
    if (isSeed) this.seeds.push({ hostId, ip: '127.0.0.1', port });
    return engine;
  }

  asParent(hostId: string, peerId: string, contentLength: number | undefined, isPrivate = false): Parent {
    return {
      peerId,
      hostId,
      ip: '127.0.0.1',
      port: this.engines.get(hostId)?.port ?? 1,
      isSeed: false,
      idc: undefined,
      location: undefined,
      isPrivate,
      contentLength,
      pieceLength: undefined,
      offer: create(common.PeerSchema, { id: peerId, host: { id: hostId } }),
    };
  }

  #at(port: number): { hostId: string; engine: Engine; store: MemoryTaskStore } {
    for (const [hostId, member] of this.engines) if (member.port === port) return { hostId, ...member };
    throw new Error(`nobody listens on ${port}`);
  }

  #parents(childHostId: string): Parents {
    return {
      syncPieces: ({ port }, { taskId, interested }, options) => this.#sync(port, taskId, new Set(interested), options),
      watchLoad: async function* () {},
      turns: this.turns,
      fetchPiece: (request, sink, options) => this.#fetch(request, sink, options),
      triggerSeed: async ({ port }, registration, { signal }) => {
        const { engine } = this.#at(port);
        const stream = await engine.open(seedRequest(registration), { signal });
        void stream.firstByte().catch(() => undefined);
        this.asked.set(`trigger by ${childHostId}`, (this.asked.get(`trigger by ${childHostId}`) ?? 0) + 1);
        return { contentLength: stream.contentLength ?? 0 };
      },
    };
  }

  async *#sync(
    port: number,
    taskId: string,
    interested: Set<number>,
    { signal, onAnswer }: Parameters<Parents['syncPieces']>[2],
  ): AsyncIterable<PieceAnnouncement> {
    const { hostId, engine } = this.#at(port);
    this.synced.set(hostId, (this.synced.get(hostId) ?? 0) + 1);
    if (this.behaviour.get(hostId) === 'gone') throw new Error('connection refused');
    if (this.behaviour.get(hostId) === 'deaf') await forever(signal);
    onAnswer?.();
    if (this.behaviour.get(hostId) === 'mute') {
      this.asked.set(hostId, (this.asked.get(hostId) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, this.headerTimeoutMs));
      throw Object.assign(new Error('no answer'), { code: 'PARENT_SILENT' });
    }
    using watch = engine.watch(taskId);
    if (watch === undefined) throw new Error('no such task');
    const name = ({
      number,
      offset,
      length,
    }: {
      number: number;
      offset: number;
      length: number;
    }): PieceAnnouncement => ({
      ...{ number, offset, length },
      ip: '127.0.0.1',
      tcpPort: port,
      takesTurns: this.turns !== undefined,
    });
    const end = Promise.withResolvers<undefined>();
    signal.addEventListener('abort', () => end.resolve(undefined));
    for (const piece of watch.finished) if (interested.delete(piece.number)) yield name(piece);
    const arriving = watch.arriving[Symbol.asyncIterator]();
    while (interested.size > 0) {
      const next = await Promise.race([arriving.next(), end.promise]);
      if (next === undefined || next.done) return;
      if (interested.delete(next.value.number)) yield name(next.value);
    }
  }

  /** Uploads one after the other. @throws when the turn does not come while a child waits for an answer */
  async #turnOf(hostId: string, signal: AbortSignal): Promise<Disposable> {
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const before = this.#turns.get(hostId) ?? Promise.resolve();
    this.#turns.set(
      hostId,
      before.then(() => done),
    );
    try {
      const isUnanswered = await Promise.race([
        before.then(() => false),
        delay(this.headerTimeoutMs, { signal }).then(() => true),
      ]);
      if (isUnanswered) throw Object.assign(new Error('no answer'), { code: 'PIECE_TRANSFER', phase: 'header' });
    } catch (error) {
      resolve();
      throw error;
    }
    return { [Symbol.dispose]: resolve };
  }

  async #fetch(
    { tcpPort, taskId, number, expected }: Parameters<Parents['fetchPiece']>[0],
    sink: PieceSink,
    { signal, limiters, sha256 }: Parameters<Parents['fetchPiece']>[2],
  ): Promise<ReceivedPiece> {
    const { hostId, engine, store } = this.#at(tcpPort);
    this.asked.set(hostId, (this.asked.get(hostId) ?? 0) + 1);
    this.underWay++;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    using _counted = { [Symbol.dispose]: () => void this.underWay-- };
    const behaviour = this.behaviour.get(hostId) ?? 'good';
    if (behaviour === 'silent') {
      await new Promise((resolve) => setTimeout(resolve, this.headerTimeoutMs));
      throw Object.assign(new Error('no answer'), { code: 'PIECE_TRANSFER', phase: 'header' });
    }
    if (behaviour === 'hanging') await forever(signal);
    using _turn = behaviour === 'oneByOne' ? await this.#turnOf(hostId, signal) : undefined;
    if (behaviour === 'refusing') throw Object.assign(new Error('busy'), { code: 'PIECE_REFUSED' });
    if (behaviour === 'corrupt') throw Object.assign(new Error('crc'), { code: 'PIECE_DIGEST_MISMATCH' });
    const piece = await engine.piece(taskId, number, { signal });
    const stored = store.get(taskId);
    if (piece === undefined || stored === undefined) throw Object.assign(new Error('gone'), { code: 'PIECE_REFUSED' });
    const bytes = Buffer.alloc(expected.length);
    for (let at = 0; at < bytes.length;) at += await stored.read(expected.start + at, bytes.subarray(at));
    if (behaviour === 'lying') bytes.writeUInt8((bytes[0] ?? 0) ^ 1, 0);
    const bytesPerSec = this.rates.get(hostId);
    const cutAt = behaviour === 'cutting' ? Math.floor(bytes.length / 2) : undefined;
    await transfer(bytes, expected.start, sink, { signal, limiters, bytesPerSec, cutAt });
    const hash = sha256 ? createHash('sha256').update(bytes).digest('hex') : undefined;
    return { number, offset: expected.start, length: expected.length, digest: pieceDigestOf(bytes), sha256: hash };
  }
}

/** What a seed makes of a trigger. */
function seedRequest(registration: PeerRegistration): TaskRequest {
  return requestOf(registration.url, { digest: registration.digest, needBackToSource: true });
}

export function requestOf(url: string, more: Partial<TaskRequest> = {}): TaskRequest {
  return {
    url,
    filteredQueryParams: [],
    enableTaskIdBasedBlobDigest: false,
    priority: 0,
    headers: {},
    credentials: {},
    disableBackToSource: false,
    needBackToSource: false,
    ...more,
  };
}

/** Layout of content that has so many whole pieces. */
export const layoutOf = (bytes: Uint8Array) => createLayout(bytes.length);

/** A link that answers requests for leave so, and counts leases that are out. */
export function linkThat(answer: () => 'grant' | 'refuse' | 'unlinked'): SwarmLink & { asked: number; out: number } {
  const link = {
    asked: 0,
    out: 0,
    requestLease: (taskId: string): Promise<OriginLease | 'unlinked' | undefined> => {
      link.asked++;
      const what = answer();
      if (what !== 'grant') return Promise.resolve(what === 'unlinked' ? what : undefined);
      link.out++;
      return Promise.resolve({ taskId, [Symbol.dispose]: () => void link.out-- });
    },
    vouch: () => undefined,
    follow: async function* () {},
    followParent: async function* () {},
    isLinked: () => true,
    blame: () => undefined,
  };
  return link;
}
