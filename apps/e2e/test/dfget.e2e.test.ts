import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type Cluster,
  type DaemonNode,
  eventually,
  type FileOrigin,
  pseudoRandomBytes,
  startCluster,
  startFileOrigin,
  tempDir,
  type TempDir,
} from '@d7y/testkit';
import { type Ended, runApp, startApp } from './_program.ts';

const MIB = 2 ** 20;
const SEPARATOR = '*'.repeat(60);

let cluster: Cluster;
let origin: FileOrigin;
let scratch: TempDir;
let first: DaemonNode;
let second: DaemonNode;

beforeAll(async () => {
  scratch = await tempDir('d7y-dfget');
  origin = await startFileOrigin();
  cluster = await startCluster({ daemons: 2, daemonConfig: { verbose: true } });
  const [one, other] = cluster.daemons;
  if (one === undefined || other === undefined) throw new Error('a cluster of two daemons has them');
  [first, second] = [one, other];
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
});

interface Published {
  readonly url: string;
  readonly path: string;
  readonly content: Buffer;
  readonly digest: string;
}

function publish(name: string, bytes: number, options: { authorization?: string } = {}): Published {
  const content = pseudoRandomBytes(name, bytes);
  const path = `/files/${name}`;
  const url = origin.publish(path, { bytes: content, ...options });
  return { url, path, content, digest: `sha256:${createHash('sha256').update(content).digest('hex')}` };
}

/** A folder of its own for what one test downloads, so that leftovers show. */
async function folder(name: string): Promise<string> {
  const dir = join(scratch.path, name);
  await mkdir(dir);
  return dir;
}

function dfget(args: readonly string[], daemon: DaemonNode = first): Promise<Ended> {
  return runApp('dfget', { args: ['--endpoint', daemon.socketPath, ...args] });
}

/** Expects exit code 1 and one block on standard error, that says all of this and nothing else. */
function expectBlock(ended: Ended, headline: string, ...parts: readonly (string | RegExp)[]): void {
  expect(ended).toMatchObject({ code: 1, signal: null, stdout: [] });
  expect(ended.stderr[0]).toBe(headline);
  expect([ended.stderr[1], ended.stderr.at(-1)]).toEqual([SEPARATOR, SEPARATOR]);
  expect(ended.stderr.filter((line) => line === SEPARATOR)).toHaveLength(2);
  for (const part of parts) expect(ended.stderr.join('\n')).toMatch(part);
}

describe('a file that dfget writes from what the daemon sends', () => {
  it('has the content, came from the origin once, and nothing but one line is printed into a pipe', async () => {
    const file = publish('whole', 19 * MIB + 17);
    const output = join(await folder('whole'), 'file');
    const started = await Promise.all([
      dfget([file.url, '-O', output, '--digest', file.digest]),
      dfget([file.url, '-O', `${output}-2`], second),
    ]);
    for (const ended of started) {
      expect(ended).toMatchObject({ code: 0, stderr: [] });
      expect(ended.stdout).toEqual([expect.stringMatching(/: 19\.0 MiB in .* from the source, .* from peers/)]);
    }
    expect((await readFile(output)).equals(file.content)).toBe(true);
    expect((await readFile(`${output}-2`)).equals(file.content)).toBe(true);
    expect(await readdir(join(output, '..'))).toEqual(['file', 'file-2']);
    expect(origin.log.coverage(file.path, file.content.length).ranges).toEqual([
      { start: 0, end: file.content.length, times: 1 },
    ]);
  });

  it('is there in no form when its digest is another', async () => {
    const file = publish('wrong', 5 * MIB);
    const dir = await folder('wrong');
    const wrong = `sha256:${'0'.repeat(64)}`;
    const ended = await dfget([file.url, '-O', join(dir, 'file'), '--digest', wrong]);
    expectBlock(ended, 'Downloading Failed!', '0'.repeat(64), file.digest.replace('sha256:', ''));
    expect(await readdir(dir)).toEqual([]);
    // The content itself is right, and no worse for the wrong expectation.
    expect((await dfget([file.url, '-O', join(dir, 'file'), '--digest', file.digest])).code).toBe(0);
    expect((await readFile(join(dir, 'file'))).equals(file.content)).toBe(true);
  });

  it('replaces none, unless it may', async () => {
    const file = publish('over', 3 * MIB);
    const dir = await folder('over');
    const output = join(dir, 'file');
    await writeFile(output, 'precious');
    origin.log.clear();
    expectBlock(await dfget([file.url, '-O', output]), 'Validating Failed!', output, /exists/, /--overwrite/);
    expect(await readFile(output, 'utf8')).toBe('precious');
    expect(origin.log.requests).toEqual([]);
    expect(await dfget([file.url, '-O', output, '--overwrite'])).toMatchObject({ code: 0, stderr: [] });
    expect((await readFile(output)).equals(file.content)).toBe(true);
    expect(await readdir(dir)).toEqual(['file']);
  });

  it('leaves what a symbolic link points to alone', async () => {
    const file = publish('link', MIB);
    const dir = await folder('link');
    await writeFile(join(dir, 'target'), 'precious');
    await symlink(join(dir, 'target'), join(dir, 'file'));
    expectBlock(await dfget([file.url, '-O', join(dir, 'file')]), 'Validating Failed!', /exists/);
    expect((await dfget([file.url, '-O', join(dir, 'file'), '--overwrite'])).code).toBe(0);
    expect(await readFile(join(dir, 'target'), 'utf8')).toBe('precious');
    expect((await lstat(join(dir, 'file'))).isSymbolicLink()).toBe(false);
  });

  it('is empty where the origin has an empty one', async () => {
    const file = publish('empty', 0);
    const output = join(await folder('empty'), 'file');
    expect(await dfget([file.url, '-O', output, '--digest', file.digest])).toMatchObject({
      code: 0,
      stderr: [],
    });
    expect((await readFile(output)).length).toBe(0);
  });

  it('is refused with the status of an origin that refuses', async () => {
    const dir = await folder('missing');
    const ended = await dfget([`${origin.url}/files/nowhere`, '-O', join(dir, 'file')]);
    expectBlock(ended, 'Downloading Failed!', /404/, /Bad Status Code: 404/);
    expect(await readdir(dir)).toEqual([]);
  });

  it('needs the credentials that its origin wants, which nobody else sees', async () => {
    const secret = `planted-9f27c1`;
    const file = publish('private', 9 * MIB, { authorization: `Bearer ${secret}` });
    const dir = await folder('private');
    const header = ['--header', `Authorization: Bearer ${secret}`];
    const refused = await dfget([file.url, '-O', join(dir, 'file')]);
    expectBlock(refused, 'Downloading Failed!', /Bad Status Code: 401/);
    const allowed = await dfget([file.url, '-O', join(dir, 'file'), '--console', '-l', 'debug', ...header]);
    expect(allowed.code).toBe(0);
    expect((await readFile(join(dir, 'file'))).equals(file.content)).toBe(true);
    // Here it is now, but still for those only whom the origin would serve.
    expectBlock(await dfget([file.url, '-O', join(dir, 'stolen')]), 'Downloading Failed!', /401/);
    const guess = ['--header', 'Authorization: Bearer guessed'];
    expectBlock(await dfget([file.url, '-O', join(dir, 'stolen'), ...guess]), 'Downloading Failed!', /401/);
    expectBlock(await dfget([file.url, '-O', join(dir, 'stolen')], second), 'Downloading Failed!', /401/);
    expect(await readdir(dir)).toEqual(['file']);
    const printed = [...allowed.lines, ...refused.lines, ...cluster.nodes.flatMap(({ lines }) => lines)];
    expect(printed.filter((line) => line.includes(secret))).toEqual([]);
  });
});

describe('dfget', () => {
  it('says all of it as one line of JSON, if asked to', async () => {
    const file = publish('json', 5 * MIB);
    const output = join(await folder('json'), 'file');
    const ended = await dfget([file.url, '-O', output, '--format', 'json', '--digest', file.digest]);
    expect(ended).toMatchObject({ code: 0, stderr: [] });
    expect(ended.stdout).toHaveLength(1);
    const result = JSON.parse(ended.stdout[0] ?? '') as { bytes: Record<string, number> };
    expect(result).toMatchObject({ output, contentLength: 5 * MIB, digest: file.digest, pieceCount: 2 });
    expect(Object.values(result.bytes).reduce((sum, bytes) => sum + bytes, 0)).toBe(5 * MIB);

    const failed = await dfget([file.url, '-O', output, '--format', 'json']);
    expect(failed).toMatchObject({ code: 1, stdout: [] });
    expect(failed.stderr).toHaveLength(1);
    expect(JSON.parse(failed.stderr[0] ?? '')).toMatchObject({ error: { code: 'VALIDATION' } });
  });

  it('ends with 2 and a hint when its arguments are wrong', async () => {
    for (const args of [[], ['http://127.0.0.1/file'], ['--outputt', 'x', 'http://127.0.0.1/file']]) {
      const ended = await dfget(args);
      expect(ended).toMatchObject({ code: 2, stdout: [] });
      expect(ended.stderr.join('\n')).toMatch(/^error: .*\n[^]*dfget --help/);
    }
  });

  it('is cancelled by Ctrl-C, with 130, and leaves nothing behind', async () => {
    const file = publish('slow', 12 * MIB);
    const dir = await folder('cancelled');
    using _slow = origin.inject({ path: /files\/slow/, fault: { bytesPerSec: MIB } });
    const program = await startApp('dfget', {
      args: ['--endpoint', first.socketPath, file.url, '-O', join(dir, 'file')],
    });
    await eventually(async () => expect(await readdir(dir)).toHaveLength(1)); // it is writing under its hidden name
    program.send('SIGINT');
    expect(await program.exited).toEqual({ code: 130, signal: null });
    expect(await readdir(dir)).toEqual([]);
  });

  it('fails with 1 and one block when nobody listens at the socket', async () => {
    const nowhere = join(scratch.path, 'nowhere.sock');
    const output = join(scratch.path, 'never');
    for (const args of [['http://127.0.0.1:9/file', '-O', output], ['status']]) {
      const ended = await runApp('dfget', { args: [...args, '--endpoint', nowhere] });
      expectBlock(ended, 'Connect Dfdaemon Failed!', `there is no socket ${nowhere}`, /Remedy: start dfdaemon/);
      expect(ended.stderr).toHaveLength(5);
    }
  });
});

describe('dfget status', () => {
  it('tells people how the daemon is', async () => {
    const ended = await dfget(['status']);
    expect(ended).toMatchObject({ code: 0, stderr: [] });
    expect(ended.stdout).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^Health: +serving$/i),
        expect.stringMatching(/^Host: +127\.0\.0\.1-daemon-0$/),
        expect.stringContaining(`${cluster.scheduler?.address} reachable`),
        expect.stringMatching(/^Tasks: +0 running, \d+ in total$/),
      ]),
    );
  });

  it('tells programs the same as one line of JSON', async () => {
    for (const flags of [
      ['--output', 'json'],
      ['--format', 'json'],
    ]) {
      const ended = await dfget(['status', ...flags], second);
      expect(ended).toMatchObject({ code: 0, stderr: [] });
      expect(ended.stdout).toHaveLength(1);
      const status = JSON.parse(ended.stdout[0] ?? '') as { bytes: { fromPeers: number }; cache: { tasks: number } };
      expect(status).toMatchObject({
        hostId: '127.0.0.1-daemon-1',
        isSeed: false,
        schedulers: [{ address: cluster.scheduler?.address, reachable: true }],
        activeTasks: [],
      });
      expect(status.bytes.fromPeers).toBeGreaterThan(0);
      expect(status.cache.tasks).toBeGreaterThan(0);
    }
  });

  it('tells that a scheduler is gone', async () => {
    await cluster.scheduler?.kill('SIGKILL');
    await eventually(async () => {
      const { stdout } = await dfget(['status', '--format', 'json']);
      expect(JSON.parse(stdout[0] ?? '')).toMatchObject({ schedulers: [{ reachable: false }] });
    });
    expect((await dfget(['status'])).stdout.join('\n')).toMatch(/NOT reachable/);
  });
});
