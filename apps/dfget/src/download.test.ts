import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { rootCertificates } from 'node:tls';
import { crc32 } from 'node:zlib';
import { Code, ConnectError } from '@connectrpc/connect';
import { common } from '@d7y/api';
import { toBackendConnectError } from '@d7y/peer-protocol';
import { describe, expect, it } from '@jest/globals';
import { finished, piecesOf, run, startFakeDaemon, started } from './_fake-daemon.ts';
import { CancelledError } from '@d7y/cli-kit';

const CONTENT = randomBytes(2_500_000);
const PIECE_LENGTH = 1_000_000;
const URL_TEXT = 'https://origin.example/files/model.bin?X-Amz-Signature=planted';
const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
/** What a directory holds besides the socket. */
const filesIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory)).filter((name) => name !== 'dfdaemon.sock');

/** A daemon that sends the bytes, the last piece first. */
const sendingDaemon = (content = CONTENT) =>
  startFakeDaemon({
    async *downloadTask() {
      yield started(content.length);
      for (const piece of piecesOf(content, PIECE_LENGTH, true).reverse()) yield finished(piece);
    },
  });

describe('a download that the daemon links', () => {
  it('asks for everything the command line says, and reports where the bytes came from', async () => {
    let seen: common.Download | undefined;
    await using daemon = await startFakeDaemon({
      async *downloadTask({ download }) {
        seen = download;
        const [first, ...rest] = piecesOf(CONTENT, PIECE_LENGTH, false);
        yield started(CONTENT.length, { pieces: first === undefined ? [] : [first] });
        for (const piece of rest) yield finished(piece);
        await writeFile(download?.outputPath ?? '', CONTENT);
      },
    });
    const output = path.join(daemon.directory, 'model.bin');
    const ca = path.join(daemon.directory, 'ca.pem');
    const authorities = rootCertificates.slice(0, 2);
    await writeFile(ca, authorities.join('\n'));
    const result = await run([
      ...[URL_TEXT, '-O', output, '-e', daemon.socket, '--format', 'json', '--digest', sha256(CONTENT)],
      ...['-H', 'Authorization: Bearer planted', '-H', 'X-Team: blue', '--tag', 't', '--application', 'a', '-p', '3'],
      ...['--piece-length', '8MiB', '--timeout', '90s', '--disable-back-to-source', '--filtered-query-param', 'sig'],
      ...['--force-hard-link', '--content-for-calculating-task-id', 'name', '--storage-region', 'eu'],
      ...['--storage-access-key-secret', 'planted', '--storage-insecure-skip-verify', '--hdfs-delegation-token', 'h'],
      ...['--ca', ca],
    ]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(seen).toMatchObject({
      url: URL_TEXT,
      outputPath: output,
      digest: sha256(CONTENT),
      requestHeader: { authorization: 'Bearer planted', 'x-team': 'blue' },
      tag: 't',
      application: 'a',
      priority: common.Priority.LEVEL3,
      pieceLength: BigInt(8 * 2 ** 20),
      timeout: { seconds: 90n, nanos: 0 },
      disableBackToSource: true,
      filteredQueryParams: ['sig'],
      forceHardLink: true,
      overwrite: false,
      needPieceContent: false,
      contentForCalculatingTaskId: 'name',
      objectStorage: { region: 'eu', accessKeySecret: 'planted', insecureSkipVerify: true },
      hdfs: { delegationToken: 'h' },
    });
    const fingerprint = (certificate: string | Uint8Array) => new X509Certificate(certificate).fingerprint256;
    expect(seen?.certificateChain.map(fingerprint)).toEqual(authorities.map(fingerprint));
    expect(seen?.objectStorage?.predefinedAcl).toBeUndefined();
    expect(seen?.huggingFace).toBeUndefined();
    expect(JSON.parse(result.stdout)).toMatchObject({
      url: 'https://origin.example/files/model.bin?X-Amz-Signature=*',
      output,
      taskId: 'a'.repeat(64),
      contentLength: CONTENT.length,
      pieceCount: 3,
      bytes: { fromSource: 0, fromPeers: 1_500_000, local: 1_000_000 },
      digest: sha256(CONTENT),
    });
    expect(result.stdout).not.toContain('planted');
  });

  it('leaves absent what was not said, and fills in the defaults', async () => {
    let seen: common.Download | undefined;
    await using daemon = await startFakeDaemon({
      async *downloadTask({ download }) {
        seen = download;
        yield started(0);
      },
    });
    const { exitCode } = await run([
      'hf://org/model/file',
      '-O',
      path.join(daemon.directory, 'f'),
      '-e',
      daemon.socket,
    ]);
    expect(exitCode).toBe(0);
    expect(seen).toMatchObject({ priority: common.Priority.LEVEL6, timeout: { seconds: 7200n }, tag: '' });
    expect(seen).toMatchObject({ needPieceContent: true });
    expect(seen?.outputPath).toBeUndefined();
    expect(seen?.filteredQueryParams).toContain('X-Amz-Signature');
    expect(seen?.huggingFace).toMatchObject({ revision: 'main' });
    for (const name of ['digest', 'pieceLength', 'objectStorage', 'hdfs', 'modelScope', 'range'] as const) {
      expect(seen?.[name]).toBeUndefined();
    }
  });
});

describe('a download over the socket', () => {
  it.each<[string, string[]]>([
    ['without a digest', []],
    ['with SHA-256', ['--digest', sha256(CONTENT)]],
    ['with SHA-512', ['--digest', `sha512:${createHash('sha512').update(CONTENT).digest('hex').toUpperCase()}`]],
    ['with CRC-32', ['--digest', `crc32:${crc32(CONTENT)}`]],
  ])('puts pieces together in any order: %s', async (_, flags) => {
    await using daemon = await sendingDaemon();
    const output = path.join(daemon.directory, 'out.bin');
    const result = await run([URL_TEXT, '-O', output, '-e', daemon.socket, ...flags]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(result.stdout).toMatch(
      /out\.bin: 2\.4 MiB in .* s \(976\.6 KiB from the source, 1\.4 MiB from peers, 0 B local\)/,
    );
    expect((await readFile(output)).equals(CONTENT)).toBe(true);
    expect((await stat(output)).mode & 0o777 & ~0o644).toBe(0);
    expect(await filesIn(daemon.directory)).toEqual(['out.bin']);
  });

  it('counts as local what the daemon had before', async () => {
    await using daemon = await startFakeDaemon({
      async *downloadTask() {
        const listed = piecesOf(CONTENT, PIECE_LENGTH, false).slice(0, 1);
        yield started(CONTENT.length, { pieces: listed });
        for (const piece of piecesOf(CONTENT, PIECE_LENGTH, true)) yield finished(piece);
      },
    });
    const output = path.join(daemon.directory, 'out.bin');
    const result = await run([URL_TEXT, '-O', output, '-e', daemon.socket, '--format', 'json']);
    expect(JSON.parse(result.stdout)).toMatchObject({
      bytes: { fromSource: 0, fromPeers: 1_500_000, local: 1_000_000 },
    });
    expect((await readFile(output)).equals(CONTENT)).toBe(true);
  });

  it('writes an empty file', async () => {
    await using daemon = await sendingDaemon(Buffer.alloc(0));
    const output = path.join(daemon.directory, 'empty');
    const flags = ['--digest', sha256(Buffer.alloc(0))];
    expect(await run([URL_TEXT, '-O', output, '-e', daemon.socket, ...flags])).toMatchObject({ exitCode: 0 });
    expect((await stat(output)).size).toBe(0);
  });

  it('weakness 29: keeps nothing when the digest does not match, and the old file when there was one', async () => {
    await using daemon = await sendingDaemon();
    const output = path.join(daemon.directory, 'out.bin');
    await writeFile(output, 'old');
    const flags = ['--overwrite', '--digest', `sha256:${'0'.repeat(64)}`];
    const { exitCode, stderr } = await run([URL_TEXT, '-O', output, '-e', daemon.socket, ...flags]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /Downloading Failed!\n.*\nMessage: the content hashes to .*, not to 0{64}\nRemedy: check the digest/,
    );
    expect(await readFile(output, 'utf8')).toBe('old');
    expect(await filesIn(daemon.directory)).toEqual(['out.bin']);
  });

  it('replaces a file only with --overwrite', async () => {
    await using daemon = await sendingDaemon();
    const output = path.join(daemon.directory, 'out.bin');
    await writeFile(output, 'old');
    const argv = [URL_TEXT, '-O', output, '-e', daemon.socket];
    const refused = await run(argv);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/Validating Failed!\n.*\nMessage: .*out\.bin exists already\nRemedy: .*--overwrite/);
    expect(await readFile(output, 'utf8')).toBe('old');
    expect(await run([...argv, '--overwrite'])).toMatchObject({ exitCode: 0 });
    expect((await readFile(output)).equals(CONTENT)).toBe(true);
  });

  it('does not replace a file that came into being during the download', async () => {
    let output = '';
    await using daemon = await startFakeDaemon({
      async *downloadTask() {
        yield started(CONTENT.length);
        await writeFile(output, 'newcomer');
        for (const piece of piecesOf(CONTENT, PIECE_LENGTH, true)) yield finished(piece);
      },
    });
    output = path.join(daemon.directory, 'out.bin');
    const { exitCode, stderr } = await run([URL_TEXT, '-O', output, '-e', daemon.socket]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('has come into being meanwhile');
    expect(await readFile(output, 'utf8')).toBe('newcomer');
    expect(await filesIn(daemon.directory)).toEqual(['out.bin']);
  });

  it('does not take a stream that ends early for the whole', async () => {
    await using daemon = await startFakeDaemon({
      async *downloadTask() {
        yield started(CONTENT.length);
        for (const piece of piecesOf(CONTENT, PIECE_LENGTH, true).slice(1)) yield finished(piece);
      },
    });
    const output = path.join(daemon.directory, 'out.bin');
    const { exitCode, stderr } = await run([URL_TEXT, '-O', output, '-e', daemon.socket]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('download incomplete: 1500000 of 2500000 bytes');
    expect(await filesIn(daemon.directory)).toEqual([]);
  });

  it('refuses a damaged piece', async () => {
    await using daemon = await startFakeDaemon({
      async *downloadTask() {
        yield started(CONTENT.length);
        for (const piece of piecesOf(CONTENT, PIECE_LENGTH, true)) {
          if (piece.number === 1) piece.content?.fill(0);
          yield finished(piece);
        }
      },
    });
    const output = path.join(daemon.directory, 'out.bin');
    const { exitCode, stderr } = await run([URL_TEXT, '-O', output, '-e', daemon.socket]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('piece 1 from the daemon is damaged');
    expect(await filesIn(daemon.directory)).toEqual([]);
  });
});

describe('a download that fails', () => {
  it('says what the origin said, without its secrets', async () => {
    await using daemon = await startFakeDaemon({
      downloadTask(_, context) {
        const headers = { 'content-type': 'text/plain', 'set-cookie': 'session=planted', 'x-internal': 'planted' };
        throw toBackendConnectError(context, { message: 'no such file', headers, status: 404 });
      },
    });
    const argv = [URL_TEXT, '-O', path.join(daemon.directory, 'f'), '-e', daemon.socket];
    const { exitCode, stdout, stderr } = await run(argv);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toContain('Downloading Failed!');
    expect(stderr).toContain('Message: the origin refused: no such file');
    expect(stderr).toContain('Bad Status Code: 404');
    expect(stderr).toContain('Header: content-type: text/plain');
    expect(stderr).not.toContain('planted');
    const json = JSON.parse((await run([...argv, '--format', 'json'])).stderr) as unknown;
    expect(json).toMatchObject({ error: { code: 'DOWNLOAD', message: 'the origin refused: no such file' } });
  });

  it('says what the daemon said', async () => {
    await using daemon = await startFakeDaemon({
      async *downloadTask() {
        yield started(10);
        throw new ConnectError('no space left', Code.Internal);
      },
    });
    const { exitCode, stderr } = await run([URL_TEXT, '-O', path.join(daemon.directory, 'f'), '-e', daemon.socket]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/Message: the dfdaemon gave up: no space left\nRemedy: /);
  });

  it.each<[string, number]>([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('ends the call and removes its file on %s', async (name, expected) => {
    const cancelled = Promise.withResolvers<void>();
    const cancel = new AbortController();
    await using daemon = await startFakeDaemon({
      async *downloadTask(_, context) {
        context.signal.addEventListener('abort', () => cancelled.resolve());
        yield started(CONTENT.length);
        const [first] = piecesOf(CONTENT, PIECE_LENGTH, true);
        if (first !== undefined) yield finished(first);
        cancel.abort(new CancelledError(name as 'SIGINT' | 'SIGTERM'));
        await cancelled.promise;
      },
    });
    const argv = [URL_TEXT, '-O', path.join(daemon.directory, 'f'), '-e', daemon.socket];
    const { exitCode, stderr } = await run(argv, { signal: cancel.signal });
    expect(exitCode).toBe(expected);
    expect(stderr).toContain(`Message: stopped by ${name}`);
    await cancelled.promise;
    expect(await filesIn(daemon.directory)).toEqual([]);
  });

  it('gives up when its time is over', async () => {
    await using daemon = await startFakeDaemon({
      async *downloadTask(_, context) {
        yield started(CONTENT.length);
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      },
    });
    const argv = [URL_TEXT, '-O', path.join(daemon.directory, 'f'), '-e', daemon.socket, '--timeout', '300ms'];
    const { exitCode, stderr } = await run([...argv]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/Message: not finished within 300ms\nRemedy: .*--timeout/);
    expect(await filesIn(daemon.directory)).toEqual([]);
  });
});

describe('the progress bar', () => {
  it('is drawn on a terminal, unless it is not wanted', async () => {
    await using daemon = await sendingDaemon();
    const argv = (name: string) => [
      ...['https://o.example/a%20b', '-O', path.join(daemon.directory, name), '-e', daemon.socket],
    ];
    const drawn = await run(argv('a'), { isTTY: true });
    expect(drawn).toMatchObject({ exitCode: 0 });
    expect(drawn.stderr).toContain('/a b');
    expect(drawn.stderr).toMatch(/100%.*2\.4 MiB of 2\.4 MiB/);
    expect((await run([...argv('b'), '--no-progress'], { isTTY: true })).stderr).toBe('');
    expect((await run([...argv('c'), '--format', 'json'], { isTTY: true })).stderr).toBe('');
    expect((await run(argv('d'))).stderr).toBe('');
  });
});
