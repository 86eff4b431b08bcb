import { JobIntake, JobRepository } from '@d7y/manager-db';
import { readProcessUsage, startCluster, tempDir } from '@d7y/testkit';
import { setTimeout as delay } from 'node:timers/promises';
import { writeBlob } from './blobs.ts';
import { startControlPlane } from './control-plane.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement } from './measurement.ts';
import { startNginx } from './nginx.ts';
import { timesOf } from './times.ts';

const JOBS = 240;
const WARM_UP = 40;
/** Clients that ask for preheats, each for the next one when the last is PENDING. */
const CLIENTS = 4;
const FILE_BYTES = 1024;
const POLL_MS = 20;
const LATENCY_SECONDS = 20;
const MIB = 2 ** 20;

/**
 * Preheats of small files onto one daemon, each of a file of its own: how many jobs in a second come through the queue, from the first request
 * until the last one has ended; and how long a client waits until its job is PENDING, at half of that pace. Manager, worker, their PostgreSQL,
 * scheduler, seed and daemon share the machine.
 */
export async function benchManagerJobs({ progress }: BenchOptions): Promise<readonly Measurement[]> {
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const file = await writeBlob(scratch.path, 'small', FILE_BYTES);
  await using origin = await startNginx(scratch.path);
  await using plane = await startControlPlane();
  await using _cluster = await startCluster({
    ...{ daemons: 1, seeds: 1, parentDir: scratch.path, schedulerConfig: plane.schedulerConfig },
  });
  const fileUrl = `${origin.url}${file.path}`;
  await plane.reaches(1, fileUrl);

  const repository = new JobRepository(plane.database.db);
  const intake = new JobIntake(plane.database);
  const ended = async () => {
    while ((await intake.pending({ limit: 1 })).length > 0) await delay(POLL_MS);
  };
  const post = async (number: number): Promise<void> => {
    const args = { type: 'file', url: `${fileUrl}?number=${number}`, scope: 'all_peers' };
    const answer = await fetch(`${plane.url}/oapi/v1/jobs`, {
      ...{ method: 'POST', headers: plane.headers, body: JSON.stringify({ type: 'preheat', args }) },
    });
    const job = (await answer.json()) as { id: number; state: string };
    if (!answer.ok || job.state !== 'PENDING') throw new Error(`POST answers ${answer.status} ${JSON.stringify(job)}`);
    ids.push(job.id);
  };
  const ids: number[] = [];
  const postAll = async (from: number, count: number) => {
    const [tookMs, startedMs]: [number[], number] = [[], performance.now()];
    let next = from;
    const client = async () => {
      while (next < from + count) {
        const askedMs = performance.now();
        await post(next++);
        tookMs.push(performance.now() - askedMs);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    return timesOf(tookMs, performance.now() - startedMs);
  };

  const postPaced = async (from: number, perSecond: number, seconds: number) => {
    const [tookMs, startedMs]: [number[], number] = [[], performance.now()];
    const pending: Promise<void>[] = [];
    for (let sent = 0; sent < Math.ceil(perSecond * seconds); sent++) {
      const dueMs = startedMs + (sent * 1000) / perSecond;
      await delay(Math.max(0, dueMs - performance.now()));
      pending.push(post(from + sent).then(() => void tookMs.push(performance.now() - dueMs)));
    }
    await Promise.all(pending);
    return timesOf(tookMs, performance.now() - startedMs);
  };

  await postAll(0, WARM_UP);
  await ended();
  const cpuSeconds = () => ({
    manager: readProcessUsage(plane.manager.program.pid).cpuSeconds,
    worker: readProcessUsage(plane.worker.program.pid).cpuSeconds,
  });
  const before = cpuSeconds();
  const startedMs = performance.now();
  const posts = await postAll(WARM_UP, JOBS);
  await ended();
  const seconds = (performance.now() - startedMs) / 1000;
  const now = cpuSeconds();
  progress(`${JOBS} jobs in ${seconds.toFixed(1)} s, asked for in ${(posts.tookMs / 1000).toFixed(1)} s`);
  const perSecond = JOBS / seconds / 2;
  const paced = await postPaced(WARM_UP + JOBS, perSecond, LATENCY_SECONDS);
  await ended();
  for (const id of ids) {
    const { state, error } = await repository.get(id);
    if (state !== 'SUCCESS') throw new Error(`job ${id} is ${state}: ${error}`);
  }
  const asked = WARM_UP + JOBS + Math.ceil(perSecond * LATENCY_SECONDS);
  if (new Set(ids).size !== asked) throw new Error(`${new Set(ids).size} jobs came of ${asked} requests`);
  const [manager, worker] = [plane.manager, plane.worker].map(({ program }) => readProcessUsage(program.pid));
  return [
    {
      ...{ name: 'managerPost', value: paced.p99Ms, unit: 'ms', target: { must: 100, aim: 50 } },
      details: { perSecond, seconds: LATENCY_SECONDS, p50Ms: paced.p50Ms, maxMs: paced.maxMs },
      text: [`at ${perSecond.toFixed(1)}/s: median ${paced.p50Ms.toFixed(1)} ms, longest ${paced.maxMs.toFixed(0)} ms`],
    },
    {
      // Nothing is asked of it but that jobs come through.
      ...{ name: 'managerJobs', value: JOBS / seconds, unit: 'jobs/s', target: { must: 0, aim: 1 } },
      details: {
        ...{ jobs: JOBS, clients: CLIENTS, postP50Ms: posts.p50Ms, postP99Ms: posts.p99Ms },
        cpuSeconds: { manager: now.manager - before.manager, worker: now.worker - before.worker },
        rssBytes: { manager: manager?.rssBytes, worker: worker?.rssBytes },
      },
      text: [
        `resident: manager ${((manager?.rssBytes ?? 0) / MIB).toFixed(0)} MiB, worker ${((worker?.rssBytes ?? 0) / MIB).toFixed(0)} MiB`,
      ],
    },
  ];
}
