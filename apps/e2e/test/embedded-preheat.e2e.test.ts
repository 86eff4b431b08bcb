import {
  blobsOf,
  type ChildProgram,
  type CountingProxy,
  eventually,
  type ImageLayout,
  makeImage,
  pushImage,
  type Registry,
  run,
  startCountingProxy,
  startRegistry,
  tempDir,
  type TempDir,
} from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Ended, runApp, startApp } from './_program.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Less than a piece, and some pieces. */
const LAYERS = [5 * KIB, 9 * MIB];
/** A configuration and the layers. */
const FILES = LAYERS.length + 1;
const NODES = ['node-1', 'node-2', 'node-3'];
const REPOSITORY = 'test/app';
/** A database is made, a cluster started; on a machine that is busy with other things too. */
const UP_TIMEOUT_MS = 90_000;
const MINUTE_MS = 60_000;

/** What `dragonfly up --output json` prints. */
interface Up {
  readonly manager: { readonly rest: string; readonly metrics: string };
  readonly worker: { readonly metrics: string };
  readonly daemons: readonly { readonly name: string; readonly isSeed: boolean; readonly proxy: string }[];
}

interface PreheatAnswer {
  readonly id: string;
  readonly status: 'WAITING' | 'RUNNING' | 'SUCCESS' | 'FAIL';
  readonly progress: Readonly<Record<string, number>>;
  readonly error: string | null;
}

interface JobShown {
  readonly id: number;
  readonly state: string;
  readonly progress: Readonly<Record<string, number>>;
}

/** What is true of an image on all three nodes. */
const ALL_DONE = { layers_total: FILES, layers_done: FILES, peers_total: NODES.length, peers_done: NODES.length };

let scratch: TempDir;
let registry: Registry;
let origin: CountingProxy;
let args: readonly string[];
let program: ChildProgram;
let up: Up;

beforeAll(async () => {
  scratch = await tempDir('d7y-embedded');
  // Started by root, PostgreSQL runs as another user, who has to get there.
  await chmod(scratch.path, 0o711);
  registry = await startRegistry();
  origin = await startCountingProxy({ upstream: registry.url });
  args = [
    ...['up', '--no-proof', '--output', 'json', '--data-dir', join(scratch.path, 'data')],
    ...['--port-base', String(portBase())],
  ];
  program = await start();
  up = await reportOf(program);
}, 2 * UP_TIMEOUT_MS);

afterAll(async () => {
  await program[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
});

/** Below the range from which systems choose ports by themselves, and different for each process of a test run. */
function portBase(): number {
  return 10_000 + (process.pid % 34) * 500;
}

/** No variable of this process may lend it a database. */
const start = (): Promise<ChildProgram> =>
  startApp('dragonfly', { args, env: { PGHOST: '', PGPORT: '', REDIS_URL: '' } });

async function reportOf(started: ChildProgram): Promise<Up> {
  return JSON.parse(await started.waitForLine(/^\{"manager"/, { timeoutMs: UP_TIMEOUT_MS })) as Up;
}

interface Published {
  readonly layout: ImageLayout;
  /** `127.0.0.1:PORT/test/app:TAG`: whoever reads it finds out that this registry speaks no TLS. */
  readonly name: string;
  /** Of its manifest. */
  readonly url: string;
}

const manifestUrl = (tag: string): string => `${origin.url}/v2/${REPOSITORY}/manifests/${tag}`;

async function publish(tag: string): Promise<Published> {
  const layout = await makeImage({ dir: join(scratch.path, 'images', tag), tag, seed: tag, layerBytes: LAYERS });
  await pushImage(layout, registry, { repository: REPOSITORY });
  return { layout, name: `${origin.host}/${REPOSITORY}:${tag}`, url: manifestUrl(tag) };
}

/** Runs curl as anybody would: with nothing that says who asks. */
async function curl<T>(...rest: readonly string[]): Promise<T> {
  return JSON.parse((await run('curl', ['--silent', '--show-error', '--fail-with-body', ...rest])).stdout) as T;
}

function preheatByCurl(image: string): Promise<PreheatAnswer> {
  return curl(
    ...['-X', 'POST', `${up.manager.rest}/api/v1/preheat`, '-H', 'Content-Type: application/json'],
    ...['-d', JSON.stringify({ type: 'image', url: image, scope: 'all_peers' })],
  );
}

function endOf(id: string): Promise<PreheatAnswer> {
  return eventually(
    async () => {
      const answer = await curl<PreheatAnswer>(`${up.manager.rest}/api/v1/preheat/${id}`);
      if (answer.status === 'WAITING' || answer.status === 'RUNNING')
        throw new Error(`preheat ${id} is still ${answer.status}: ${JSON.stringify(answer.progress)}`);
      return answer;
    },
    { timeoutMs: MINUTE_MS, intervalMs: 200 },
  );
}

function preheatByDfctl(image: string): Promise<Ended> {
  return runApp('dfctl', {
    args: ['preheat', image, '--manager', up.manager.rest, '--scope', 'all_peers', '--wait', '--output', 'json'],
    timeoutMs: MINUTE_MS,
  });
}

/** Pulls every blob through every node; the registry may not be asked for one. */
async function expectPullsAskForNothing({ layout }: Published): Promise<void> {
  const nodes = up.daemons.filter(({ isSeed }) => !isSeed);
  expect(nodes.map(({ name }) => name)).toEqual(NODES);
  origin.log.clear();
  for (const { name, proxy } of nodes) {
    for (const { digest, size } of blobsOf(layout)) {
      const file = join(scratch.path, `${name}-pulled`);
      await run('curl', [
        ...['--silent', '--show-error', '--fail', '--output', file],
        ...['-H', `X-Dragonfly-Registry: ${origin.url}`, `${proxy}/v2/${REPOSITORY}/blobs/${digest}`],
      ]);
      const bytes = await readFile(file);
      expect([bytes.length, `sha256:${createHash('sha256').update(bytes).digest('hex')}`]).toEqual([size, digest]);
    }
  }
  const gets = origin.log.requests.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
  expect(gets.map(({ path }) => path)).toEqual([]);
}

describe('dragonfly up, with neither Redis nor a PostgreSQL of the system', () => {
  it('preheats an image onto all nodes for a curl without a token, as soon as it says that it is up', async () => {
    const image = await publish('by-curl');
    origin.log.clear();
    const { id, status } = await preheatByCurl(image.name);
    expect(['WAITING', 'RUNNING']).toContain(status);
    expect(await endOf(id)).toMatchObject({ status: 'SUCCESS', error: null, progress: ALL_DONE });
    // Counted where it must not be zero, too: the bytes came from there.
    for (const { digest } of blobsOf(image.layout))
      expect(origin.log.blobRequests(digest).length).toBeGreaterThanOrEqual(1);
    await expectPullsAskForNothing(image);
  });

  it('preheats an image for dfctl, which waits and prints the job', async () => {
    const image = await publish('by-dfctl');
    const ended = await preheatByDfctl(image.name);
    expect(ended).toMatchObject({ code: 0, stderr: [] });
    const job = JSON.parse(ended.stdout.join('\n')) as JobShown;
    expect(job).toMatchObject({ state: 'SUCCESS', progress: ALL_DONE });
    await expectPullsAskForNothing(image);
  });

  it('has dfctl end with 3 and the reason for an image that is not there', async () => {
    const ended = await preheatByDfctl(manifestUrl('not-there'));
    expect(ended.code).toBe(3);
    const said = ended.lines.join('\n');
    expect(said).toContain('JOB_FAILED');
    expect(said).toMatch(/manifests\/not-there[^]*404|404[^]*manifests\/not-there/);
  });

  it('names the ports of metrics of its manager and worker', async () => {
    for (const { metrics } of [up.manager, up.worker]) expect((await fetch(metrics)).status).toBe(200);
  });

  it('says in one line that some routes are open', () => {
    expect(program.lines.filter((line) => line.includes('openRoutes'))).toHaveLength(1);
  });

  it('ends with 0 after SIGTERM, and knows its jobs when it is started again', async () => {
    const before = await Promise.all(['1', '2', '3'].map(endOf));
    expect(before.map(({ status }) => status)).toEqual(['SUCCESS', 'SUCCESS', 'FAIL']);
    program.send('SIGTERM');
    expect(await program.exited).toEqual({ code: 0, signal: null });
    program = await start();
    // Asked for while daemons are still starting: it waits until all of them can be told.
    const image = await publish('early');
    const early = await eventually(() => preheatByCurl(image.url), { timeoutMs: MINUTE_MS, intervalMs: 100 });
    up = await reportOf(program);
    expect(await endOf(early.id)).toMatchObject({ status: 'SUCCESS', error: null, progress: ALL_DONE });
    expect(await Promise.all(['1', '2', '3'].map(endOf))).toEqual(before);
  }, 180_000);
});
