import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import * as http2 from 'node:http2';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { health } from '@d7y/api';
import { expect, it } from '@jest/globals';
import { run, startFakeDaemon } from './_fake-daemon.ts';

const STATUS = {
  health: 'serving',
  version: '1.2.3',
  hostId: '10.0.0.7-node-7',
  schedulers: [
    { address: '10.0.0.1:8002', reachable: true },
    { address: '10.0.0.2:8002', reachable: false },
  ],
  tasks: { total: 12, running: 1 },
  cache: { tasks: 11, bytes: 3 * 2 ** 30 },
  bytes: { fromSource: 2 ** 30, fromPeers: 3 * 2 ** 30, uploaded: 5 * 2 ** 20 },
  activeTasks: [
    {
      taskId: 'ab'.repeat(32),
      url: 'https://u:planted@o.example/f?sig=planted\u001B[2J',
      contentLength: 10 * 2 ** 20,
      finishedPieces: 1,
      pieceCount: 3,
    },
  ],
};

it('shows how the daemon is', async () => {
  await using daemon = await startFakeDaemon({ status: JSON.stringify(STATUS) });
  const { exitCode, stdout, stderr } = await run(['status', '-e', daemon.socket]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout.split('\n')).toEqual([
    'Health:      serving',
    'Version:     1.2.3',
    'Host:        10.0.0.7-node-7',
    'Scheduler:   10.0.0.1:8002 reachable',
    'Scheduler:   10.0.0.2:8002 NOT reachable',
    'Tasks:       1 running, 12 in total',
    'Cache:       11 tasks, 3.0 GiB',
    'From source: 1.0 GiB',
    'From peers:  3.0 GiB (75 %)',
    'Uploaded:    5.0 MiB',
    `Task ${'ab'.repeat(6)}  10.0 MiB  1/3 pieces  https://o.example/f?sig=*`,
    '',
  ]);
});

it('takes what all commands know before its name too, and after it rather', async () => {
  await using daemon = await startFakeDaemon({ status: JSON.stringify(STATUS) });
  const before = await run(['--endpoint', daemon.socket, '--format', 'json', 'status']);
  expect(before.exitCode).toBe(0);
  expect(JSON.parse(before.stdout)).toEqual(STATUS);
  const after = await run(['--endpoint', '/nowhere.sock', 'status', '--endpoint', daemon.socket]);
  expect(after.exitCode).toBe(0);
});

it('shows what newer daemons say, and passes on to programs all they say', async () => {
  const status = { ...STATUS, isSeed: true, bytes: { ...STATUS.bytes, fromLocalCache: 1024 }, mood: { today: 'fine' } };
  await using daemon = await startFakeDaemon({ status: JSON.stringify(status) });
  const { stdout } = await run(['status', '-e', daemon.socket]);
  expect(stdout).toContain('Host:        10.0.0.7-node-7 (seed)\n');
  expect(stdout).toContain('From cache:  1.0 KiB\n');
  expect(JSON.parse((await run(['status', '-e', daemon.socket, '--format', 'json'])).stdout)).toEqual(status);
});

it('shows tasks of which it learns little', async () => {
  const activeTasks = [{ taskId: 'x', contentLength: 2048, receivedBytes: 1024 }];
  await using daemon = await startFakeDaemon({ status: JSON.stringify({ ...STATUS, activeTasks }) });
  expect((await run(['status', '-e', daemon.socket])).stdout).toContain('\nTask x  1.0 KiB of 2.0 KiB\n');
});

it('shows tasks whose length nobody knows yet, and the first of very many', async () => {
  const task = { taskId: 'x', url: 'https://o.example/f', contentLength: null, finishedPieces: 0 };
  const status = JSON.stringify({ ...STATUS, schedulers: [], activeTasks: Array(25).fill(task) });
  await using daemon = await startFakeDaemon({ status });
  const { stdout } = await run(['status', '-e', daemon.socket]);
  expect(stdout).toContain('Scheduler:   none');
  expect(stdout).toContain('Task x  unknown size  0/? pieces  https://o.example/f');
  expect(stdout).toContain('… and 5 more');
});

it.each(['--output', '--format', '-o'])('gives everything to programs with %s json', async (flag) => {
  await using daemon = await startFakeDaemon({ status: JSON.stringify(STATUS) });
  const { exitCode, stdout } = await run(['status', '-e', daemon.socket, flag, 'json']);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toEqual(STATUS);
});

it.each<[string, string]>([
  ['not JSON', '<html>'],
  ['a number', '5'],
  ['without a version', JSON.stringify({ ...STATUS, version: undefined })],
  ['with a negative count', JSON.stringify({ ...STATUS, tasks: { total: -1, running: 0 } })],
  ['with a list that is none', JSON.stringify({ ...STATUS, activeTasks: {} })],
])('does not print what it does not understand: %s', async (_, status) => {
  await using daemon = await startFakeDaemon({ status });
  const { exitCode, stdout, stderr } = await run(['status', '-e', daemon.socket]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  expect(stderr).toMatch(/^Stating Failed!\n/);
});

it('tells the health of a daemon that has no status', async () => {
  await using daemon = await startFakeDaemon({});
  expect(await run(['status', '-e', daemon.socket])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^Health: serving/),
  });
});

it('tells the health of a daemon that speaks HTTP/2 only', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'dfget-'));
  const socket = path.join(directory, 'stock.sock');
  const server = http2.createServer(
    connectNodeAdapter({
      routes: (router) =>
        router.service(health.Health, {
          check: () => ({ status: health.HealthCheckResponse_ServingStatus.SERVING }),
        }),
    }),
  );
  server.on('sessionError', () => undefined);
  server.listen(socket);
  await once(server, 'listening');
  try {
    const { exitCode, stdout, stderr } = await run(['status', '-e', socket, '--format', 'json']);
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: '{"health":"serving"}\n', stderr: '' });
  } finally {
    server.close();
    await rm(directory, { recursive: true });
  }
});
