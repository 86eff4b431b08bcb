import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createClient } from '@connectrpc/connect';
import type { ConnectRouter } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { health, scheduler } from '@d7y/api';
import { untilAborted } from '../async/until-aborted.ts';
import { createHealth } from '../rpc/health.ts';
import { memoryLogger, rawSession, until } from './_servers.ts';
import { CA_PEM, CERT_PEM, KEY_PEM } from './_tls-fixture.ts';
import { createHttpHandler, sendLine } from './http-handler.ts';
import { listen } from './listen.ts';
import type { Listener, ListenOptions } from './listen.ts';

const { Scheduler } = scheduler;
const stack: (AsyncDisposable | Disposable)[] = [];
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'd7y-listen-'));
});
afterEach(async () => {
  for (const resource of stack.splice(0).reverse()) {
    if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
    else resource[Symbol.dispose]();
  }
  rmSync(directory, { recursive: true });
});

const statTask = (router: ConnectRouter) =>
  router.rpc(Scheduler.method.statTask, ({ taskId }) => ({ id: taskId, contentLength: 5n }));
const greet = createHttpHandler([
  { method: 'GET', path: '/hello', handler: (_request, response) => sendLine(response, 200, 'hello') },
]);

async function start(options: Partial<ListenOptions> = {}): Promise<Listener & { lines: Record<string, unknown>[] }> {
  const { logger, lines } = memoryLogger();
  const where = options.path === undefined ? { host: '127.0.0.1', port: 0 } : {};
  const listener = await listen({
    ...where,
    logger,
    grpc: (router) => void statTask(router),
    http: greet,
    drainMs: 50,
    ...options,
  });
  stack.push(listener);
  return { ...listener, lines };
}

function grpcClient(address: string, nodeOptions: object = {}) {
  return createClient(Scheduler, createGrpcTransport({ baseUrl: `http://${address}`, nodeOptions }));
}

describe('listen', () => {
  it('answers gRPC, Connect over HTTP/1 and plain HTTP on one port', async () => {
    const { address, port } = await start();
    expect(address).toBe(`127.0.0.1:${port}`);
    expect(await grpcClient(address).statTask({ taskId: 'a' })).toMatchObject({ id: 'a', contentLength: 5n });
    for (const httpVersion of ['1.1', '2'] as const) {
      const client = createClient(Scheduler, createConnectTransport({ baseUrl: `http://${address}`, httpVersion }));
      expect(await client.statTask({ taskId: 'b' })).toMatchObject({ id: 'b' });
    }
    const response = await fetch(`http://${address}/hello`);
    expect([response.status, await response.text()]).toEqual([200, 'hello\n']);
    expect((await fetch(`http://${address}/other`)).status).toBe(404);
  });

  it('gives plain requests over HTTP/2 to the same handler', async () => {
    const { address } = await start();
    using client = await rawSession(address);
    const stream = client.session.request({ ':path': '/hello' });
    expect(await text(stream)).toBe('hello\n');
  });

  it('says Unimplemented for methods and services it does not have, to gRPC and to Connect', async () => {
    const { address } = await start();
    await expect(grpcClient(address).deleteHost({ hostId: 'h' })).rejects.toMatchObject({ code: 12 });
    const overHttp1 = createConnectTransport({ baseUrl: `http://${address}`, httpVersion: '1.1' });
    await expect(createClient(Scheduler, overHttp1).deleteHost({ hostId: 'h' })).rejects.toMatchObject({ code: 12 });
  });

  it('recognises HTTP/2 however its first bytes are cut', async () => {
    const { port } = await start();
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const preface = Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    ]);
    for (const byte of preface.subarray(0, 5)) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    socket.write(preface.subarray(5));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer[3]).toBe(4); // a SETTINGS frame
    socket.destroy();
  });

  it('closes a connection that says nothing, or leaves in the middle of a word', async () => {
    const { port } = await start({ firstByteTimeoutMs: 20 });
    const silent = connect(port, '127.0.0.1');
    const leaving = connect(port, '127.0.0.1');
    leaving.end('PR');
    await Promise.all([once(silent, 'close'), once(leaving.resume(), 'close')]);
  });

  it('answers a pipelining HTTP/1 client that half-closes after its request', async () => {
    const { port } = await start();
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end('GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await text(socket)).match(/hello\n/g)).toHaveLength(2);
  });

  it('lets go of an HTTP/2 client that just closes its side', async () => {
    const { address, port } = await start();
    const socket = connect(port, '127.0.0.1');
    const session = connectHttp2(`http://${address}`, { createConnection: () => socket });
    await once(session, 'connect');
    socket.end();
    await once(socket, 'close');
  });

  it('offers windows large enough for messages with piece content', async () => {
    const { address } = await start({ maxConcurrentStreams: 77 });
    using client = await rawSession(address);
    const { session } = client;
    await until(() => (session.state.remoteWindowSize ?? 0) > 65_535, 'connection window raised');
    expect(session.remoteSettings).toMatchObject({ initialWindowSize: 1024 * 1024, maxConcurrentStreams: 77 });
    expect(session.state.remoteWindowSize).toBe(4 * 1024 * 1024);
  });

  it('tells an HTTP/2 connection without streams to go after a while, and none that is in use', async () => {
    const listener = await start({
      idleTimeoutMs: 50,
      http: (_request, response) => response.flushHeaders(),
    });
    using busy = await rawSession(listener.address);
    const stream = busy.session.request({ ':path': '/' });
    await once(stream, 'response');
    using idle = await rawSession(listener.address);
    await once(idle.session, 'close');
    expect(busy.session.closed).toBe(false);
    stream.close();
    await once(busy.session, 'close');
  });

  it('survives requests without a host', async () => {
    const { port, address } = await start();
    const socket = connect(port, '127.0.0.1');
    socket.write(
      'POST /scheduler.v2.Scheduler/StatTask HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
    );
    expect(await text(socket)).toMatch(/^HTTP\/1.1 400 /);
    expect((await fetch(`http://${address}/hello`)).status).toBe(200);
  });

  it('survives garbage, and names no secrets of a failing request', async () => {
    const { port, address, lines } = await start({
      http: () => {
        throw new Error('broken');
      },
    });
    const garbage = connect(port, '127.0.0.1');
    garbage.on('error', () => undefined);
    garbage.end(Buffer.from('PRI * HTTP/2.0\r\n\r\nXX garbage'));
    await once(garbage.resume(), 'close');
    const response = await fetch(`http://${address}/x?sig=pl4nt3d`);
    expect([response.status, await response.text()]).toEqual([500, 'internal error\n']);
    expect(lines.find(({ msg }) => msg === 'request failed')).toMatchObject({
      url: '/x?sig=*',
      err: { message: 'broken' },
    });
    expect(JSON.stringify(lines)).not.toContain('pl4nt3d');
  });

  it('hands CONNECT to who wants it, and refuses it otherwise', async () => {
    const status = async (port: number) => {
      const asked = request({ port, host: '127.0.0.1', method: 'CONNECT', path: 'registry.example:443' }).end();
      const [response, socket] = (await once(asked, 'connect')) as [{ statusCode: number }, { destroy(): void }];
      socket.destroy();
      return response.statusCode;
    };
    expect(await status((await start()).port)).toBe(405);
    const open = await start({ connect: (_request, socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n') });
    expect(await status(open.port)).toBe(200);
  });

  it('answers health checks when given', async () => {
    const { address } = await start({ health: createHealth() });
    const client = createConnectTransport({ baseUrl: `http://${address}`, httpVersion: '1.1' });
    expect(await createClient(health.Health, client).check({})).toMatchObject({ status: 1 });
  });

  it('names the port that is taken', async () => {
    const { port } = await start();
    await expect(start({ port })).rejects.toThrow(
      `port ${port} (127.0.0.1) is in use, stop the other process or configure another port`,
    );
    await expect(start({ host: '192.0.2.1' })).rejects.toThrow('192.0.2.1');
  });
});

describe('a listener that is disposed', () => {
  it('lets a call under way finish, takes no new ones and frees its port', async () => {
    const { promise: finish, resolve: letFinish } = Promise.withResolvers<void>();
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    const listener = await start({
      drainMs: 5_000,
      grpc: (router) =>
        void router.rpc(Scheduler.method.statTask, async () => {
          enter();
          await finish;
          return { id: 'late' };
        }),
    });
    const call = grpcClient(listener.address).statTask({ taskId: 'a' });
    await entered;
    const closed = listener[Symbol.asyncDispose]();
    expect(listener[Symbol.asyncDispose]()).toBe(closed);
    await expect(fetch(`http://${listener.address}/hello`)).rejects.toThrow();
    letFinish();
    expect(await call).toMatchObject({ id: 'late' });
    await closed;
    await start({ port: listener.port });
  });

  it('tells long streams at once, so that they end themselves with Unavailable', async () => {
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    const listener = await start({
      drainMs: 60_000,
      grpc: (router) =>
        void router.rpc(Scheduler.method.announcePeer, async function* (requests, { signal }) {
          enter();
          for await (const _ of untilAborted(requests, signal)) yield {};
          throw signal.reason;
        }),
    });
    const { promise: never, resolve: release } = Promise.withResolvers<void>();
    const responses = grpcClient(listener.address).announcePeer(
      (async function* () {
        yield {};
        await never;
      })(),
    );
    const reading = (async () => {
      for await (const _ of responses) void _;
    })();
    await entered;
    const beganMs = performance.now();
    await Promise.all([expect(reading).rejects.toMatchObject({ code: 14 }), listener[Symbol.asyncDispose]()]);
    expect(performance.now() - beganMs).toBeLessThan(20_000);
    release();
  });

  it('weakness 33: cuts off what does not end, after the drain time', async () => {
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    const listener = await start({
      drainMs: 20,
      http: () => enter(), // and never answers
      grpc: (router) => void router.rpc(Scheduler.method.statTask, () => new Promise<never>(() => undefined)),
    });
    const stuck = fetch(`http://${listener.address}/`);
    const stuckRpc = grpcClient(listener.address).statTask({});
    await entered;
    await Promise.all([
      expect(stuck).rejects.toThrow(),
      expect(stuckRpc).rejects.toMatchObject({ code: expect.any(Number) }),
      listener[Symbol.asyncDispose](),
    ]);
  });

  it('closes an HTTP/1 connection as soon as its last answer is out', async () => {
    const { promise: finish, resolve: letFinish } = Promise.withResolvers<void>();
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    const listener = await start({
      drainMs: 60_000,
      http: async (_request, response) => {
        enter();
        await finish;
        sendLine(response, 200, 'late');
      },
    });
    const socket = connect(listener.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await entered;
    const closed = listener[Symbol.asyncDispose]();
    letFinish();
    expect(await text(socket)).toContain('late');
    await closed;
  });

  it('does not wait for idle connections, nor for those that have said nothing yet', async () => {
    const listener = await start({ drainMs: 60_000 });
    await (await fetch(`http://${listener.address}/hello`)).text(); // kept alive by fetch
    using client = await rawSession(listener.address);
    await once(client.session, 'remoteSettings');
    using hasty = await rawSession(listener.address); // closed before or after its first bytes were seen
    const silent = connect(listener.port, '127.0.0.1').on('error', () => undefined);
    await once(silent, 'connect');
    await listener[Symbol.asyncDispose]();
    await until(() => client.session.closed && hasty.session.closed && silent.destroyed, 'all closed');
  });
});

describe('a unix socket', () => {
  const over = (path: string) => grpcClient('localhost', { createConnection: () => connect(path) });

  it('answers gRPC with the given permissions, and is gone afterwards', async () => {
    const path = join(directory, 'd.sock');
    const listener = await start({ path, mode: 0o777 });
    expect([listener.address, listener.port]).toEqual([path, 0]);
    expect(statSync(path).mode & 0o777).toBe(0o777);
    expect(await over(path).statTask({ taskId: 'a' })).toMatchObject({ id: 'a' });
    await listener[Symbol.asyncDispose]();
    expect(existsSync(path)).toBe(false);
  });

  it('replaces one that nobody listens on any more', async () => {
    const path = join(directory, 'd.sock');
    const dead = createServer().listen(path);
    await once(dead, 'listening');
    // What kill -9 leaves behind: the file stays, the listener goes.
    renameSync(path, `${path}.kept`);
    dead.close();
    renameSync(`${path}.kept`, path);
    await start({ path });
    expect(await over(path).statTask({ taskId: 'a' })).toMatchObject({ id: 'a' });
  });

  it('leaves one alone on which another process listens', async () => {
    const path = join(directory, 'd.sock');
    await start({ path });
    await expect(start({ path })).rejects.toThrow(`${path}: another process listens on this socket`);
    expect(await over(path).statTask({ taskId: 'a' })).toMatchObject({ id: 'a' });
  });

  it('leaves a file alone that is no socket, and names a directory that is missing', async () => {
    const path = join(directory, 'precious');
    writeFileSync(path, 'x');
    await expect(start({ path })).rejects.toThrow(`${path}: exists and is no socket`);
    expect(statSync(path).size).toBe(1);
    await expect(start({ path: join(directory, 'no', 'd.sock') })).rejects.toThrow(join(directory, 'no'));
  });
});

describe('limits of HTTP/1', () => {
  const answerTo = async (port: number, sent: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(sent);
    return (await text(socket as never)).split('\r\n', 1)[0] ?? '';
  };

  it('end a request whose headers or body do not come', async () => {
    const { port } = await start({
      http1: { headersTimeoutMs: 200, requestTimeoutMs: 200 },
      http: async (incoming, response) => sendLine(response, 200, await text(incoming)),
    });
    expect(await answerTo(port, 'GET / HTTP/1.1\r\nhost: a\r\n')).toBe('HTTP/1.1 408 Request Timeout');
    expect(await answerTo(port, 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n')).toBe(
      'HTTP/1.1 408 Request Timeout',
    );
  });

  it('refuse headers that are too long', async () => {
    const { port } = await start({ http1: { maxHeaderBytes: 1_024 } });
    expect(await answerTo(port, `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(2_048)}\r\n\r\n`)).toContain(' 431 ');
  });
});

describe('TLS', () => {
  const files = () => {
    const paths = { cert: join(directory, 'c.pem'), key: join(directory, 'k.pem'), ca: join(directory, 'ca.pem') };
    writeFileSync(paths.cert, CERT_PEM);
    writeFileSync(paths.key, KEY_PEM);
    writeFileSync(paths.ca, CA_PEM);
    return paths;
  };
  const client = (port: number, identity: object = {}) =>
    createClient(
      Scheduler,
      createGrpcTransport({ baseUrl: `https://localhost:${port}`, nodeOptions: { ca: CA_PEM, ...identity } }),
    );

  it('serves gRPC and HTTP/1 on one port', async () => {
    const { cert, key } = files();
    const { port } = await start({ host: 'localhost', tls: { cert, key } });
    expect(await client(port).statTask({ taskId: 'a' })).toMatchObject({ id: 'a' });
    const asked = httpsRequest({ port, host: 'localhost', path: '/hello', ca: CA_PEM, agent: false }).end();
    const [response] = (await once(asked, 'response')) as [NodeJS.ReadableStream];
    expect(await text(response as never)).toBe('hello\n');
  });

  it('refuses clients without a certificate when it asks for one', async () => {
    const { port } = await start({ host: 'localhost', tls: { ...files(), requestCert: true } });
    await expect(client(port).statTask({})).rejects.toMatchObject({ code: expect.any(Number) });
    expect(await client(port, { cert: CERT_PEM, key: KEY_PEM }).statTask({ taskId: 'a' })).toMatchObject({ id: 'a' });
  });

  it('weakness 5: does not start with files that are missing, unreadable or no match', async () => {
    const paths = files();
    const refused = (tls: ListenOptions['tls']) => expect(start({ tls })).rejects;
    await refused({ ...paths, key: join(directory, 'none.pem') }).toThrow('none.pem: no such file');
    await refused({ ...paths, cert: directory }).toThrow(`${directory}: is a directory`);
    await refused({ cert: paths.ca, key: paths.key }).toThrow('no usable certificate and key');
    await refused({ cert: paths.cert, key: paths.key, requestCert: true }).toThrow('tls.ca: missing');
    writeFileSync(paths.ca, 'nonsense');
    await refused({ ...paths, requestCert: true }).toThrow('ca.pem: holds no certificate');
  });
});
