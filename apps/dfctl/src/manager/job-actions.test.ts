import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { CancelledError } from '@d7y/cli-kit';
import { describe, expect, it } from '@jest/globals';
import { runDfctl } from '../run.ts';
import { job, startStandIn } from './_manager.ts';

async function dfctl(args: readonly string[], signal = new AbortController().signal) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await runDfctl(args, { stdout, stderr }, signal);
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

async function fileWith(content: string): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'd7y-dfctl-'));
  await writeFile(join(folder, 'file'), content);
  return {
    path: join(folder, 'file'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

const blob = (letter: string) => `https://ghcr.io/v2/org/app/blobs/sha256:${letter.repeat(64)}`;
const task = (letter: string, hostname: string) => ({ url: blob(letter), hostname, ip: '10.0.0.1' });
const result = (success: unknown[], failure: unknown[] = [], error = '') => ({
  job_states: [{ error, results: [{ success_tasks: success, failure_tasks: failure, scheduler_cluster_id: 1 }] }],
});
const progress = (layersDone: number, peersDone: number) => ({
  ...{ layers_total: 2, layers_done: layersDone, peers_total: 4, peers_done: peersDone },
});

describe('dfctl preheat', () => {
  it('asks for what it was told, and tells the job at once without --wait', async () => {
    await using manager = await startStandIn([job()]);
    await using password = await fileWith('s3cret\n');
    const ended = await dfctl([
      ...[
        'preheat',
        'ghcr.io/org/app:1',
        '--manager',
        manager.url,
        '--platform',
        'linux/amd64',
        '--platform',
        'linux/arm64',
      ],
      ...[
        '--scope',
        'all_peers',
        '--count',
        '3',
        '--cluster',
        '1',
        '--username',
        'ann',
        '--password-file',
        password.path,
      ],
    ]);
    expect(ended).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^ID .*\n7 +preheat +PENDING/) });
    expect(manager.asked).toEqual([
      {
        ...{ method: 'POST', path: '/api/v1/preheat', authorization: undefined },
        body: {
          ...{ type: 'image', url: 'ghcr.io/org/app:1', platforms: ['linux/amd64', 'linux/arm64'], scope: 'all_peers' },
          ...{ count: 3, scheduler_cluster_ids: [1], username: 'ann', password: 's3cret' },
        },
      },
      { method: 'GET', path: '/api/v1/jobs/7', authorization: undefined, body: undefined },
    ]);
  });

  it('tells layer by layer how far it is, and ends with success', async () => {
    await using manager = await startStandIn([
      job(),
      job({ phase: 'STARTED', progress: progress(0, 1), result: result([task('a', 'node-1')]) }),
      job({
        ...{ state: 'SUCCESS', phase: 'SUCCESS', progress: progress(2, 4) },
        result: result(['a', 'b'].flatMap((letter) => ['node-1', 'node-2'].map((host) => task(letter, host)))),
      }),
    ]);
    const ended = await dfctl(['preheat', 'ghcr.io/org/app:1', '--manager', manager.url, '--wait']);
    expect(ended.code).toBe(0);
    expect(ended.stderr.split('\n')).toEqual([
      'job 7: PENDING',
      'job 7: layers 0/2, hosts 1/4',
      'sha256:aaaaaaaaaaaa  on node-1',
      'job 7: layers 2/2, hosts 4/4',
      'sha256:aaaaaaaaaaaa  on 2 hosts',
      'sha256:bbbbbbbbbbbb  on 2 hosts',
      '',
    ]);
    expect(ended.stdout).toMatch(/7 +preheat +SUCCESS +2\/2 +4\/4/);
  });

  it('exits with 3 and every reason when the job fails, as JSON where that was asked for', async () => {
    const failed = job({
      ...{ state: 'FAILURE', phase: 'FAILURE', progress: progress(1, 3), error: 'a layer is missing' },
      result: result(
        [task('a', 'node-1')],
        [{ ...task('b', 'node-2'), description: 'no space left' }],
        'a layer is missing',
      ),
    });
    await using manager = await startStandIn([failed]);
    const ended = await dfctl(['preheat', 'ghcr.io/org/app:1', '--manager', manager.url, '--wait', '--output', 'json']);
    expect([ended.code, ended.stdout]).toEqual([3, '']);
    expect(JSON.parse(ended.stderr)).toEqual({
      error: {
        ...{ code: 'JOB_FAILED', message: 'job 7 failed', remedy: expect.stringContaining('dfctl job retry 7') },
        details: ['a layer is missing', 'sha256:bbbbbbbbbbbb on node-2: no space left'],
      },
    });
  });

  it('says that the job goes on when it is told to stop waiting', async () => {
    await using manager = await startStandIn([job({ phase: 'STARTED' })]);
    const stop = new AbortController();
    const running = dfctl(['preheat', 'ghcr.io/org/app:1', '--manager', manager.url, '--wait'], stop.signal);
    while (manager.asked.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(new CancelledError('SIGINT'));
    const ended = await running;
    expect(ended.code).toBe(130);
    expect(ended.stderr).toContain('job 7 goes on; "dfctl job cancel 7" ends it');
  });
});

describe('dfctl job', () => {
  it('goes through the door of tokens with a token, and says what helps without', async () => {
    await using manager = await startStandIn([job()], 'dfp_pl4nt3d');
    await using token = await fileWith('dfp_pl4nt3d\n');
    const listed = await dfctl([
      'job',
      'list',
      '--manager',
      manager.url,
      '--token-file',
      token.path,
      '--state',
      'PENDING',
    ]);
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining('… and 30 more (--limit)') });
    expect(manager.asked[0]).toMatchObject({
      ...{ path: '/oapi/v1/jobs?state=PENDING&page=1&per_page=20', authorization: 'Bearer dfp_pl4nt3d' },
    });
    const refused = await dfctl(['job', 'get', '7', '--manager', manager.url]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/sign in first\nRemedy: give a personal/) });
    await using wrong = await fileWith('dfp_wrong');
    const other = await dfctl(['job', 'get', '7', '--manager', manager.url, '--token-file', wrong.path]);
    expect(other.stderr).toContain('the token is not one of this manager');
    expect(other.stderr).not.toContain('dfp_wrong');
  });

  it('cancels, tries again, and tells of a job as JSON', async () => {
    await using manager = await startStandIn([job({ state: 'FAILURE', phase: 'CANCELLED' })]);
    expect(await dfctl(['job', 'cancel', '7', '--manager', manager.url])).toMatchObject({
      ...{ code: 0, stdout: expect.stringMatching(/7 +preheat +CANCELLED/) },
    });
    expect((await dfctl(['job', 'retry', '7', '--manager', manager.url, '--wait'])).code).toBe(3);
    const told = await dfctl(['job', 'get', '7', '--manager', manager.url, '-o', 'json']);
    expect(JSON.parse(told.stdout)).toMatchObject({ id: 7, phase: 'CANCELLED' });
    expect(manager.asked.map(({ method, path }) => `${method} ${path}`).slice(0, 2)).toEqual([
      ...['POST /api/v1/jobs/7/cancel', 'POST /api/v1/jobs/7/retry'],
    ]);
  });

  it('tells what a manager refuses, and that nobody is there', async () => {
    await using manager = await startStandIn([job()]);
    expect(await dfctl(['job', 'get', '8', '--manager', manager.url])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('there is no job 8') },
    });
    expect(await dfctl(['job', 'get', '7', '--manager', 'http://127.0.0.1:1'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /no manager answers at http:\/\/127\.0\.0\.1:1\/: the connection is refused\nRemedy: start it/,
      ),
    });
  });

  it.each([
    [['job', 'get', 'seven']],
    [['preheat', 'x', '--platform', 'amd64']],
    [['preheat', 'x', '--scope', 'everywhere']],
    [['job', 'list', '--manager', 'ftp://x']],
    [['job', 'list', '--limit', '1001']],
  ])('exits with 2 at %j', async (args) => {
    expect((await dfctl(args)).code).toBe(2);
  });
});
