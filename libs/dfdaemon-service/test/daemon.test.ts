import { describe, expect, it } from '@jest/globals';
import { blobPath, contentOf, DaemonFarm, get, sha256, startOrigin } from './_cluster.ts';

const MIB = 2 ** 20;
const SMALL = contentOf('small', 5 * 1024);
const LARGE = contentOf('large', 9 * MIB + 17);
const blobs = new Map([SMALL, LARGE].map((content) => [blobPath(content), content]));

describe('a daemon on its own', () => {
  it('serves blobs of any size from the origin, once, and then from its disk', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const daemon = await farm.start('alone');
    for (const content of [SMALL, LARGE]) {
      for (let round = 0; round < 2; round++) {
        const { status, headers, body } = await get(
          { port: daemon.ports.proxy },
          `${blobPath(content)}?ns=${origin.authority}`,
        );
        expect([status, sha256(body)]).toEqual([200, sha256(content)]);
        expect(headers['x-dragonfly-task-id']).toBe(sha256(content));
        if (round === 1) expect(headers['x-dragonfly-task-download-finished']).toBe('true');
      }
    }
    expect(origin.sentBytes).toBe(SMALL.length + LARGE.length);
  });

  it('gives many callers at once what it fetches once', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const daemon = await farm.start('alone');
    const path = `${blobPath(LARGE)}?ns=${origin.authority}`;
    const answers = await Promise.all(Array.from({ length: 8 }, () => get({ port: daemon.ports.proxy }, path)));
    expect(new Set(answers.map(({ body }) => sha256(body)))).toEqual(new Set([sha256(LARGE)]));
    expect(origin.sentBytes).toBe(LARGE.length);
  });

  it('serves ranges', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const daemon = await farm.start('alone');
    const path = `${blobPath(LARGE)}?ns=${origin.authority}`;
    const part = await get({ port: daemon.ports.proxy }, path, { range: 'bytes=5000000-5000099' });
    expect([part.status, part.headers['content-range']]).toEqual([206, `bytes 5000000-5000099/${LARGE.length}`]);
    expect(part.body).toEqual(LARGE.subarray(5_000_000, 5_000_100));
    expect((await get({ port: daemon.ports.proxy }, path, { range: `bytes=${LARGE.length}-` })).status).toBe(416);
  });

  it('keeps what it has over a restart', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const path = `${blobPath(LARGE)}?ns=${origin.authority}`;
    const first = await farm.start('alone');
    await get({ port: first.ports.proxy }, path);
    await first[Symbol.asyncDispose]();
    const second = await farm.start('alone');
    const answer = await get({ port: second.ports.proxy }, path);
    expect(sha256(answer.body)).toBe(sha256(LARGE));
    expect(origin.sentBytes).toBe(LARGE.length);
  });

  it('tells how it is: health, metrics, status', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const daemon = await farm.start('alone', { scheduler: { addrs: ['127.0.0.1:1'] } });
    await get({ port: daemon.ports.proxy }, `${blobPath(SMALL)}?ns=${origin.authority}`);
    expect((await get({ port: daemon.ports.health }, '/healthy')).status).toBe(200);
    const { body } = await get({ port: daemon.ports.metrics ?? 0 }, '/metrics');
    expect(body.toString()).toContain(`dragonfly_client_download_traffic{type="BACK_TO_SOURCE"} ${SMALL.length}`);
    expect(body.toString()).toContain('dragonfly_dfdaemon_proxy_request_total 1');
    const answer = await get({ socketPath: daemon.socketPath }, '/status');
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      health: 'serving',
      hostId: '127.0.0.1-alone',
      schedulers: [{ address: '127.0.0.1:1', reachable: false }],
      tasks: { total: 1, running: 0, served: 1 },
      cache: { tasks: 1, bytes: SMALL.length },
      bytes: { fromSource: SMALL.length, fromPeers: 0 },
      activeTasks: [],
    });
  });

  it('says in one line which port is taken', async () => {
    await using farm = await DaemonFarm.create();
    const first = await farm.start('first');
    for (const over of [
      { proxy: { server: { ip: '127.0.0.1', port: first.ports.proxy } } },
      { storage: { dir: `${farm.dir}/second`, server: { ip: '127.0.0.1', tcpPort: first.ports.piece } } },
      { upload: { server: { ip: '127.0.0.1', port: first.ports.upload } } },
    ]) {
      await expect(farm.start('second', over)).rejects.toMatchObject({
        code: 'START',
        message: expect.stringMatching(/port \d+ .*in use/),
      });
    }
  });
});

describe('private content', () => {
  const authorization = `Basic ${Buffer.from('user:planted-password').toString('base64')}`;

  it('is served to whom the origin accepts, cached or not, and nobody sees the secret', async () => {
    await using origin = await startOrigin(blobs);
    origin.admit = (request) => (request.authorization === authorization ? 200 : 401);
    await using farm = await DaemonFarm.create();
    const daemon = await farm.start('alone', { verbose: true });
    const path = `${blobPath(LARGE)}?ns=${origin.authority}`;
    const ask = (headers: Record<string, string> = {}) => get({ port: daemon.ports.proxy }, path, headers);
    const challenge = await ask();
    expect([challenge.status, challenge.headers['www-authenticate']]).toEqual([401, 'Basic realm="origin"']);
    expect(sha256((await ask({ authorization })).body)).toBe(sha256(LARGE));
    expect((await ask({ authorization: 'Basic wrong' })).status).toBe(401);
    expect((await ask()).status).toBe(401);
    expect(sha256((await ask({ authorization })).body)).toBe(sha256(LARGE));
    expect(origin.sentBytes).toBe(LARGE.length);
    expect(farm.log.lines.join('')).not.toContain(authorization.slice(6));
  });

  it('is not readable through another repository', async () => {
    const elsewhere = blobPath(LARGE, 'other/app');
    await using origin = await startOrigin(blobs);
    origin.admit = (request) => {
      if (request.url.startsWith(elsewhere)) return 404;
      return request.authorization === authorization ? 200 : 401;
    };
    await using farm = await DaemonFarm.create();
    const daemon = await farm.start('alone');
    const ask = (path: string) =>
      get({ port: daemon.ports.proxy }, `${path}?ns=${origin.authority}`, { authorization });
    expect((await ask(blobPath(LARGE))).status).toBe(200);
    expect((await ask(elsewhere)).status).toBe(404);
  });
});
