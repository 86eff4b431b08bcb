import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, SchedulerNode, tempDir } from '@d7y/testkit';
import type { BenchOptions, Measurement } from './measurement.ts';
import { PROTOCOLS } from './measurement.ts';
import { LoadProcess } from './scheduler/load-process.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
/** Tasks that the registrations are spread over. */
const TASKS = 200;
const STRIDE = 7;
/** Registrations that are under way while the processor time is counted. */
const AT_ONCE = 256;
/** Registrations that warm the program up, until V8 has compiled what it will: a scheduler runs for months. */
const WARM_UP = 30_000;
/** Rounds of all hosts that count, and as many registrations at the least. */
const ROUNDS = 3;
const LEAST = 10_000;
/** Long enough for what happens now and then to count as much as it does. */
const LATENCY_SECONDS = 30;
const LAYERS = 10;
/** Peers that a scheduler is to know again, and for how long what it knows may be on its way to the disk. */
const REMEMBERED = 100_000;
const WRITTEN_WITHIN_MS = 5_000;
/** Of the line of a scheduler that says what it knows again. */
const KNOWN_AGAIN = 'known before is known again';
/** In the program that is measured: SIGUSR2 collects its heap, so that what it holds is told from what it has not thrown away yet. */
const COLLECT_ON_SIGNAL =
  "import{setFlagsFromString}from'node:v8';import{runInNewContext}from'node:vm';setFlagsFromString('--expose-gc');const/**/gc=runInNewContext('gc');process.on('SIGUSR2',()=>{gc();gc();const{heapUsed,external}=process.memoryUsage();console.error('held='+(heapUsed+external))})";
const HELD = 'held=';
const COLLECTED_AFTER_MS = 500;
const HELD_WITHIN_MS = 60_000;

const OWN = { must: 8_000, aim: 20_000 };
const STOCK = { must: 2_000, aim: 5_000 };

/**
 * A real scheduler and as many daemons as asked for, each with a connection of its own. A registration is a whole conversation: the
 * request, the answer with parents, the start and the last word; over AnnouncePeer the stream and its end as well, over our own stream
 * the answer to the last word.
 * @throws when a registration is turned down
 */
export const benchScheduler = (options: BenchOptions): Promise<readonly Measurement[]> =>
  overBoth(options, (bench) => bench.registrations(options.progress));

/** The same daemons all ask for ten tasks at the same time. */
export const benchSchedulerCrowd = (options: BenchOptions): Promise<readonly Measurement[]> =>
  overBoth(options, (bench) => bench.crowd(options.progress));

/** How long a scheduler that was killed takes to know again who holds what: 100,000 peers, of as many daemons as asked for. */
export async function benchSchedulerWarm({ hosts = 1_000, progress }: BenchOptions): Promise<readonly Measurement[]> {
  await using scratch = await tempDir('d7y-bench');
  await using bench = await SchedulerBench.start(scratch.path, hosts, true, 'info');
  return await bench.warmStart(progress);
}

async function overBoth(
  { hosts = 10_000, protocol }: BenchOptions,
  measure: (bench: SchedulerBench) => Promise<Measurement[]>,
): Promise<readonly Measurement[]> {
  await using scratch = await tempDir('d7y-bench');
  const measurements: Measurement[] = [];
  for (const of of PROTOCOLS.filter((each) => protocol === undefined || each === protocol)) {
    await using bench = await SchedulerBench.start(scratch.path, hosts, of === 'own');
    measurements.push(...(await measure(bench)));
  }
  return measurements;
}

/** One scheduler process and its load. */
class SchedulerBench implements AsyncDisposable {
  readonly #scheduler: SchedulerNode;
  readonly #load: LoadProcess;
  readonly #hosts: number;
  readonly #isOwn: boolean;
  #registered = 0;

  private constructor(scheduler: SchedulerNode, load: LoadProcess, hosts: number, isOwn: boolean) {
    this.#scheduler = scheduler;
    this.#load = load;
    this.#hosts = hosts;
    this.#isOwn = isOwn;
  }

  static async start(parentDir: string, hosts: number, isOwn: boolean, logLevel = 'error'): Promise<SchedulerBench> {
    const scheduler = await SchedulerNode.prepare({
      parentDir,
      config: {
        server: { requestRateLimit: 1e9, logLevel, dataDir: await mkdtemp(join(parentDir, 'state-')) },
        scheduler: { settleTime: '0s' },
      },
      env: {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(COLLECT_ON_SIGNAL)} ${process.env['SCHEDULER_NODE_OPTIONS'] ?? ''}`,
      },
    });
    await scheduler.start();
    return new SchedulerBench(scheduler, new LoadProcess(), hosts, isOwn);
  }

  async registrations(progress: (text: string) => void): Promise<Measurement[]> {
    const suffix = this.#isOwn ? 'Own' : '';
    const target = this.#isOwn ? OWN : STOCK;
    const hosts = this.#hosts;
    const idle = await this.#held();
    const connecting = await this.#timed(() => this.#connect());
    const connected = await this.#held();
    progress(`${hosts} daemons connected: ${(hosts / connecting.cpuSeconds).toFixed(0)} per CPU second`);
    await this.#populate();
    await this.#register(WARM_UP);
    const before = await this.#held();
    const count = Math.max(ROUNDS * hosts, LEAST);
    const { result, cpuSeconds } = await this.#timed(() => this.#register(count));
    const after = await this.#held();
    const perCpuSecond = count / cpuSeconds;
    progress(`${perCpuSecond.toFixed(0)} registrations per CPU second`);
    const perSecond = Math.floor(perCpuSecond / 2);
    const paced = await this.#register(perSecond * LATENCY_SECONDS, { perSecond });
    const facts = { hosts, tasks: TASKS };
    return [
      {
        name: `scheduler${suffix}`,
        value: perCpuSecond,
        unit: 'registrations/CPU s',
        target,
        details: {
          ...facts,
          registrations: count,
          atOnce: AT_ONCE,
          perSecond: (count * 1000) / result.tookMs,
          p50Ms: result.p50Ms,
          p99Ms: result.p99Ms,
          connectionsPerCpuSecond: hosts / connecting.cpuSeconds,
        },
        text: [`per second              ${((count * 1000) / result.tookMs).toFixed(0)}`],
      },
      {
        name: `schedulerLatency${suffix}`,
        value: paced.p99Ms,
        unit: 'ms',
        target: { must: 10, aim: 5 },
        details: { ...facts, perSecond, seconds: LATENCY_SECONDS, p50Ms: paced.p50Ms, maxMs: paced.maxMs },
        text: [`at ${perSecond}/s: median ${paced.p50Ms.toFixed(2)} ms, longest ${paced.maxMs.toFixed(0)} ms`],
      },
      {
        name: `schedulerPeer${suffix}`,
        value: (after.usedBytes - before.usedBytes) / count,
        unit: 'bytes',
        target: { must: 2 * KIB, aim: KIB },
        details: { ...facts, peers: count, residentPerPeer: (after.rssBytes - before.rssBytes) / count },
      },
      {
        name: `schedulerDaemon${suffix}`,
        value: (connected.rssBytes - idle.rssBytes) / hosts,
        unit: 'bytes',
        target: { must: 100_000, aim: 50_000 },
        details: {
          ...facts,
          idleBytes: idle.rssBytes,
          connectedBytes: connected.rssBytes,
          streamsPerDaemon: this.#isOwn ? 1 : 0,
        },
      },
    ];
  }

  /** Every daemon asks for ten tasks at the same time, which a single peer is fetching from the origin. */
  async crowd(progress: (text: string) => void): Promise<Measurement[]> {
    const suffix = this.#isOwn ? 'Own' : '';
    const hosts = this.#hosts;
    await this.#connect();
    await this.#load.tell({
      ...{ kind: 'register', first: 0, count: LAYERS, tasks: LAYERS, stride: 1, atOnce: 1 },
      ...{ finish: false, origin: true },
    });
    const { result, cpuSeconds } = await this.#timed(() =>
      this.#load.tell({
        ...{ kind: 'register', first: hosts, count: LAYERS * hosts, tasks: LAYERS, stride: 1, atOnce: LAYERS * hosts },
        ...{ finish: false, origin: false },
      }),
    );
    progress(`${result.answered} answers, ${result.origin} of them the origin; ${result.failed} refused`);
    const { peakRssBytes } = this.#scheduler.program.usage();
    const facts = {
      hosts,
      layers: LAYERS,
      failed: result.failed,
      origin: result.origin,
      cpuSeconds,
      loadCpuSeconds: result.cpuSeconds,
    };
    return [
      {
        name: `schedulerCrowd${suffix}`,
        value: result.untilLastAnswerMs / 1000,
        unit: 's',
        target: { must: 15, aim: 6 },
        details: { ...facts, p50Ms: result.p50Ms, p99Ms: result.p99Ms },
      },
      {
        name: `schedulerCrowdRss${suffix}`,
        value: peakRssBytes / MIB,
        unit: 'MiB',
        target: { must: 2048, aim: 1229 },
        details: { ...facts, heldBytes: (await this.#held()).usedBytes },
      },
    ];
  }

  /** It learns of all of them, dies, and starts again. */
  async warmStart(progress: (text: string) => void): Promise<Measurement[]> {
    await this.#connect();
    await this.#populate();
    await this.#register(REMEMBERED - TASKS);
    progress(`${REMEMBERED} peers hold ${TASKS} tasks`);
    await delay(WRITTEN_WITHIN_MS);
    await this.#scheduler.kill('SIGKILL');
    const startedMs = performance.now();
    await this.#scheduler.start();
    const untilReadyMs = performance.now() - startedMs;
    const said = this.#scheduler.lines.findLast((line) => line.includes(KNOWN_AGAIN));
    const known = said === undefined ? undefined : (JSON.parse(said) as { holders: number; tookMs: number });
    if (known === undefined || known.holders < REMEMBERED)
      throw new Error(`the scheduler knows ${known?.holders ?? 0} of ${REMEMBERED} peers again`);
    return [
      {
        name: 'schedulerWarm',
        value: known.tookMs / 1000,
        unit: 's',
        target: { must: 1, aim: 0.5 },
        details: { hosts: this.#hosts, peers: known.holders, untilReadyMs },
        text: [`from its start until it serves: ${untilReadyMs.toFixed(0)} ms`],
      },
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load[Symbol.asyncDispose]();
    await this.#scheduler[Symbol.asyncDispose]();
  }

  async #connect(): Promise<void> {
    await this.#load.tell({
      ...{ kind: 'connect', port: this.#scheduler.port, first: 0, count: this.#hosts, isOwn: this.#isOwn },
    });
  }

  /** One holder for every task, who had it from the origin. */
  async #populate(): Promise<void> {
    await this.#load.tell({
      ...{ kind: 'register', first: 0, count: TASKS, tasks: TASKS, stride: STRIDE, atOnce: 1 },
      ...{ finish: true, origin: true },
    });
    this.#registered = this.#hosts;
  }

  async #register(count: number, { perSecond }: { perSecond?: number } = {}) {
    const result = await this.#load.tell({
      ...{ kind: 'register', first: this.#registered, count, tasks: TASKS, stride: STRIDE, atOnce: AT_ONCE },
      ...{ finish: true, origin: false },
      ...(perSecond === undefined ? {} : { perSecond }),
    });
    this.#registered += count;
    if (result.failed > 0) throw new Error(`${result.failed} of ${count} registrations were turned down`);
    return result;
  }

  async #timed<T>(action: () => Promise<T>): Promise<{ result: T; cpuSeconds: number }> {
    const before = this.#scheduler.program.usage().cpuSeconds;
    const result = await action();
    return { result, cpuSeconds: this.#scheduler.program.usage().cpuSeconds - before };
  }

  /** What is held when garbage is thrown away: resident, and of it what the program's objects and buffers are. */
  async #held(): Promise<{ rssBytes: number; usedBytes: number }> {
    const { program } = this.#scheduler;
    const saidBefore = countOf(program.lines);
    program.send('SIGUSR2');
    // A large heap, and a busy machine, take their time.
    await eventually(() => expectMore(countOf(program.lines), saidBefore), { timeoutMs: HELD_WITHIN_MS });
    await delay(COLLECTED_AFTER_MS);
    const said = program.lines.findLast((line) => line.includes(HELD)) ?? '';
    return { rssBytes: program.rssBytes(), usedBytes: Number(said.slice(said.indexOf(HELD) + HELD.length)) };
  }
}

const countOf = (lines: readonly string[]): number => lines.filter((line) => line.includes(HELD)).length;

function expectMore(count: number, before: number): Promise<void> {
  if (count <= before) return Promise.reject(new Error('the scheduler does not say what it holds'));
  return Promise.resolve();
}
