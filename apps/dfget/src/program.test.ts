import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { run, startFakeDaemon, started } from './_fake-daemon.ts';
import { VERSION } from '@d7y/cli-kit';

const URL_TEXT = 'https://origin.example/file';

afterEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('DFGET_')) delete process.env[name];
});

describe('the command line', () => {
  it.each<[string, string[]]>([
    ['no URL', ['-O', 'f']],
    ['no output', [URL_TEXT]],
    ['two URLs', [URL_TEXT, URL_TEXT, '-O', 'f']],
    ['a URL that is none', ['origin.example/file', '-O', 'f']],
    ['an unknown flag', [URL_TEXT, '-O', 'f', '--frobnicate']],
    ['a digest of another kind', [URL_TEXT, '-O', 'f', '--digest', 'md5:0']],
    ['a short digest', [URL_TEXT, '-O', 'f', '--digest', 'sha256:00']],
    ['small pieces', [URL_TEXT, '-O', 'f', '--piece-length', '1MiB']],
    ['large pieces', [URL_TEXT, '-O', 'f', '--piece-length', '65MiB']],
    ['no time', [URL_TEXT, '-O', 'f', '--timeout', '0']],
    ['a time without unit', [URL_TEXT, '-O', 'f', '--timeout', '10']],
    ['a priority of 7', [URL_TEXT, '-O', 'f', '-p', '7']],
    ['authorities that are not there', [URL_TEXT, '-O', 'f', '--ca', '/nowhere/ca.pem']],
    ['authorities that are none', [URL_TEXT, '-O', 'f', '--ca', import.meta.filename]],
    ['a strange format', ['status', '--format', 'xml']],
  ])('is refused with exit code 2: %s', async (_, argv) => {
    const { exitCode, stdout, stderr } = await run(argv);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^error: /);
  });

  it('weakness 29: is refused when it asks for replacing and hard-linking together', async () => {
    const { exitCode, stderr } = await run([URL_TEXT, '-O', 'f', '--overwrite', '--force-hard-link']);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error: .*--force-hard-link/);
  });

  it('is refused without repeating a header, which may hold a secret', async () => {
    const { exitCode, stderr } = await run([URL_TEXT, '-O', 'f', '-H', 'X-A: b', '-H', 'Authorization planted']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('header number 2');
    expect(stderr).not.toContain('planted');
  });

  it('explains itself', async () => {
    const { exitCode, stdout } = await run(['--help']);
    expect(exitCode).toBe(0);
    for (const text of ['--transfer-from-dfdaemon', 'DFGET_TIMEOUT', 'status', '--ms-revision', '--csg-token']) {
      expect(stdout).toContain(text);
    }
  });

  it('knows its version', async () => {
    const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(VERSION).toBe(manifest.version);
    expect(await run(['--version'])).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n` });
    expect(await run(['version'])).toMatchObject({ exitCode: 0, stdout: `dfget ${VERSION}\n` });
  });

  it('can be said by the environment', async () => {
    const seen: boolean[] = [];
    await using daemon = await startFakeDaemon({
      async *downloadTask({ download }) {
        seen.push(download?.overwrite === true);
        yield started(0, { isFinished: true });
      },
    });
    process.env['DFGET_ENDPOINT'] = daemon.socket;
    for (const value of ['false', '0', '', 'true', '1']) {
      process.env['DFGET_OUTPUT'] = path.join(daemon.directory, `f${seen.length}`);
      process.env['DFGET_OVERWRITE'] = value;
      expect(await run([URL_TEXT])).toMatchObject({ exitCode: 0 });
    }
    expect(seen).toEqual([false, false, false, true, true]);
  });

  it('warns of flags that have no effect', async () => {
    await using daemon = await startFakeDaemon({
      async *downloadTask() {
        yield started(0, { isFinished: true });
      },
    });
    const argv = [URL_TEXT, '-O', path.join(daemon.directory, 'f'), '-e', daemon.socket];
    const { exitCode, stderr } = await run([...argv, '--max-files', '5', '--csg-token', 'planted']);
    expect(exitCode).toBe(0);
    expect(stderr.split('\n').sort()).toEqual([
      '',
      'dfget: --csg-token has no effect on the download of a file',
      'dfget: --max-files has no effect on the download of a file',
    ]);
  });

  it('prints log lines only when they are wanted', async () => {
    await using daemon = await startFakeDaemon({
      async *downloadTask() {
        yield started(0, { isFinished: true });
      },
    });
    const argv = [`${URL_TEXT}?sig=planted`, '-O', path.join(daemon.directory, 'f'), '-e', daemon.socket];
    const { stderr } = await run([...argv, '--console']);
    expect(stderr).toContain('download starts');
    expect(stderr).not.toContain('planted');
    expect((await run([...argv, '--console', '-l', 'error', '--overwrite'])).stderr).toBe('');
  });
});

describe('the output', () => {
  it('must be a file in a directory that is there', async () => {
    await using daemon = await startFakeDaemon({});
    const { directory, socket } = daemon;
    await mkdir(path.join(directory, 'sub'));
    await writeFile(path.join(directory, 'plain'), '');
    const refusal = async (output: string, url = URL_TEXT) => {
      const { exitCode, stderr } = await run([url, '-O', path.join(directory, output), '-e', socket]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^Validating Failed!\n\*+\nMessage: .*\nRemedy: .*\n\*+\n$/);
      return stderr;
    };
    expect(await refusal('missing/f')).toContain('missing is not a directory');
    expect(await refusal('plain/f')).toContain('plain is not a directory');
    expect(await refusal('sub')).toContain('sub is a directory');
    expect(await refusal('f', 'https://origin.example/files/')).toContain(
      'name a directory, which cannot be downloaded',
    );
  });

  it('weakness 13: may not be a directory by way of --recursive', async () => {
    const { exitCode, stderr } = await run([URL_TEXT, '-r', '-O', '/tmp/x']);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('name a directory');
  });
});

describe('a daemon that cannot be used', () => {
  const refusal = async (socket: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await run(['status', '-e', socket]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^Connect Dfdaemon Failed!\n\*+\nMessage: .*\nRemedy: .*\n\*+\n$/);
    return stderr;
  };

  it('is named with what helps', async () => {
    await using daemon = await startFakeDaemon({ state: 'NOT_SERVING' });
    expect(await refusal(daemon.socket)).toContain('is not serving');
    expect(await refusal(path.join(daemon.directory, 'none.sock'))).toContain('there is no socket');
    await using other = await startFakeDaemon({ state: 'UNKNOWN' });
    expect(await refusal(other.socket)).toContain('is not a dfdaemon');
    const plain = path.join(daemon.directory, 'plain');
    await writeFile(plain, '');
    await chmod(plain, 0o777);
    expect(await refusal(plain)).toMatch(/nobody listens|is not a socket/);
  });

  it('may hang up', async () => {
    await using daemon = await startFakeDaemon({});
    const socket = path.join(daemon.directory, 'rude.sock');
    const server = createServer((connection: Socket) => connection.destroy()).listen(socket);
    await once(server, 'listening');
    try {
      expect(await refusal(socket)).toContain('no dfdaemon answers');
    } finally {
      server.close();
    }
  });
});
