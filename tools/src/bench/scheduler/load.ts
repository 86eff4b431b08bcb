// A process of its own: so many daemons as one machine can play, each with a connection of its own to the scheduler.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { LoadCommand, LoadResult, RegistrationLoad } from './load-commands.ts';
import {
  answerKind,
  hostAnnouncement,
  hostIdOf,
  linkMessage,
  linkRegistration,
  linkReport,
  peerIdOf,
  peerMessages,
  readLinkAnswer,
  taskIdOf,
} from './daemon-messages.ts';
import { LeanConnection } from './lean-connection.ts';
import type { LeanCall } from './lean-connection.ts';

const ANNOUNCE_HOST = '/scheduler.v2.Scheduler/AnnounceHost';
const ANNOUNCE_PEER = '/scheduler.v2.Scheduler/AnnouncePeer';
const HELLO = '/d7y.swarm.v1.SwarmService/Hello';
const LINK = '/d7y.swarm.v1.SwarmService/Link';
const CONNECTING_AT_ONCE = 64;
const PACE_MS = 2;

type Answer = 'parents' | 'origin' | 'none';

/** One daemon: its connection, and its own stream where it is one of ours. */
class Daemon {
  readonly hostId: string;
  readonly #connection: LeanConnection;
  #link: LeanCall | undefined;
  #nextPeerNumber = 1;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  private constructor(index: number, connection: LeanConnection) {
    this.hostId = hostIdOf(index);
    this.#connection = connection;
  }

  static async connect(index: number, port: number, isOwn: boolean): Promise<Daemon> {
    const connection = await LeanConnection.open(port);
    await connection.ask(ANNOUNCE_HOST, hostAnnouncement(index));
    const daemon = new Daemon(index, connection);
    if (isOwn) await daemon.#openLink();
    return daemon;
  }

  /** Registers over AnnouncePeer, or over the own stream when there is one. @returns once it is answered and, if wanted, over */
  register(taskIndex: number, number: number, origin: boolean, finish: boolean, answered: (is: Answer) => void) {
    const taskId = taskIdOf(taskIndex);
    const peerId = peerIdOf(this.hostId, number);
    return this.#link === undefined
      ? this.#overStream(peerMessages(this.hostId, taskId, peerId, origin), finish, answered)
      : this.#overLink(this.#link, taskId, peerId, origin, finish, answered);
  }

  close(): void {
    this.#connection.close();
  }

  async #openLink(): Promise<void> {
    const introduction = create(swarm.HelloRequestSchema, { instanceId: this.hostId, version: 'bench' });
    const answer = await this.#connection.ask(HELLO, toBinary(swarm.HelloRequestSchema, introduction));
    if (!fromBinary(swarm.HelloResponseSchema, answer).features.includes('peers'))
      throw new Error('the scheduler takes no registrations over the own stream');
    const opened = Promise.withResolvers<void>();
    const value = { hostId: this.hostId, version: 'bench' };
    this.#link = this.#connection.call(LINK, linkMessage({ case: 'open', value }), {
      onMessage: (bytes) => {
        opened.resolve();
        const answer = readLinkAnswer(bytes);
        if (answer !== undefined) this.#hear(answer.peerNumber, answer.kind);
      },
      onEnd: () => {
        opened.reject(new Error('the own stream was refused'));
        for (const number of this.#waiting.keys()) this.#hear(number, 'none');
      },
    });
    await opened.promise;
  }

  #hear(peerNumber: number, answer: Answer): void {
    const hear = this.#waiting.get(peerNumber);
    this.#waiting.delete(peerNumber);
    hear?.(answer);
  }

  #overStream(
    { register, say }: ReturnType<typeof peerMessages>,
    finish: boolean,
    answered: (is: Answer) => void,
  ): Promise<void> {
    const over = Promise.withResolvers<void>();
    let isAnswered = false;
    const call = this.#connection.call(ANNOUNCE_PEER, register, {
      onMessage: (bytes) => {
        if (isAnswered) return;
        isAnswered = true;
        const kind = answerKind(bytes);
        answered(kind === 'other' ? 'none' : kind);
        call.send(say(kind === 'origin' ? 'atOrigin' : 'started'));
        if (finish) call.send(say(kind === 'origin' ? 'finishedAtOrigin' : 'finished'));
        else over.resolve();
      },
      onEnd: () => {
        if (!isAnswered) answered('none');
        isAnswered = true;
        over.resolve();
      },
    });
    return over.promise;
  }

  #overLink(
    link: LeanCall,
    taskId: string,
    peerId: string,
    origin: boolean,
    finish: boolean,
    answered: (is: Answer) => void,
  ): Promise<void> {
    const over = Promise.withResolvers<void>();
    const peerNumber = this.#nextPeerNumber++;
    this.#waiting.set(peerNumber, (answer) => {
      answered(answer);
      const fromOrigin = answer === 'origin';
      link.send(linkReport('started', peerNumber, fromOrigin));
      if (finish && answer !== 'none') {
        this.#waiting.set(peerNumber, () => over.resolve());
        link.send(linkReport('finished', peerNumber, fromOrigin));
      } else over.resolve();
    });
    link.send(linkRegistration(peerNumber, taskId, peerId, origin));
    return over.promise;
  }
}

const daemons: Daemon[] = [];

async function connectAll({ port, first, count, isOwn }: LoadCommand & { kind: 'connect' }): Promise<LoadResult> {
  const startedMs = performance.now();
  let next = first;
  const worker = async () => {
    while (next < first + count) daemons.push(await Daemon.connect(next++, port, isOwn));
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, worker));
  return resultOf([], { answered: count, origin: 0, failed: 0 }, startedMs);
}

/** Registration number n is of daemon n, counted round and round, for another task every round. */
async function registerAll(load: RegistrationLoad): Promise<LoadResult> {
  const { first, count, tasks, finish, origin, perSecond, atOnce } = load;
  const startedMs = performance.now();
  const millis = new Float64Array(count);
  const totals = { answered: 0, origin: 0, failed: 0 };
  let lastAnswerMs = startedMs;
  const one = (index: number, dueMs: number): Promise<void> => {
    const number = first + index;
    const round = Math.floor(number / daemons.length);
    const daemon = daemons[number % daemons.length];
    if (daemon === undefined) throw new RangeError('no daemons are connected');
    return daemon.register((number + round * load.stride) % tasks, number, origin, finish, (answer) => {
      lastAnswerMs = performance.now();
      millis[index] = lastAnswerMs - dueMs;
      if (answer === 'none') totals.failed++;
      else totals.answered++;
      if (answer === 'origin') totals.origin++;
    });
  };
  if (perSecond === undefined) {
    let next = 0;
    const worker = async () => {
      while (next < count) await one(next++, performance.now());
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  } else {
    // By the clock, whatever comes back: one that answers late makes nobody ask later.
    const open: Promise<void>[] = [];
    while (open.length < count) {
      const dueBefore = ((performance.now() - startedMs) * perSecond) / 1000;
      while (open.length < count && open.length < dueBefore)
        open.push(one(open.length, startedMs + (open.length * 1000) / perSecond));
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
    await Promise.all(open);
  }
  return { ...resultOf(millis, totals, startedMs), untilLastAnswerMs: lastAnswerMs - startedMs };
}

function resultOf(
  millis: ArrayLike<number>,
  totals: { answered: number; origin: number; failed: number },
  startedMs: number,
): LoadResult {
  const sorted = Float64Array.from(millis).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const tookMs = performance.now() - startedMs;
  return { ...totals, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), tookMs, untilLastAnswerMs: tookMs, cpuSeconds: 0 };
}

async function timed(command: LoadCommand): Promise<LoadResult> {
  const before = process.cpuUsage();
  const result = await run(command);
  const { user, system } = process.cpuUsage(before);
  return { ...result, cpuSeconds: (user + system) / 1e6 };
}

async function run(command: LoadCommand): Promise<LoadResult> {
  if (command.kind === 'connect') return connectAll(command);
  if (command.kind === 'register') return registerAll(command);
  for (const daemon of daemons.splice(0)) daemon.close();
  return resultOf([], { answered: 0, origin: 0, failed: 0 }, performance.now());
}

process.on('message', (command: LoadCommand) => {
  timed(command).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
