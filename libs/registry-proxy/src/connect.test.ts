import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { createServer as createHttpsServer, request as httpsRequest, type RequestOptions } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import { Secret, UpstreamGuard } from '@d7y/service-kit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ask, BLOB_RULE, startProxy, until } from './_fakes.ts';
import type { RegistryPolicy } from './config.ts';
import { CertificateAuthority } from './intercept/authority.ts';

const BLOB = `/v2/app/blobs/sha256:${'b'.repeat(64)}`;
let authority: CertificateAuthority;
let origin: Server;
const seen: { url: string; headers: IncomingMessage['headers'] }[] = [];
let registries: Map<string, RegistryPolicy>;
const port = () => (origin.address() as AddressInfo).port;
let originCa: string;

beforeAll(async () => {
  const now = Date.now();
  const { certificate, key } = await CertificateAuthority.create('interceptor', now);
  authority = await CertificateAuthority.load(certificate, key, now);
  const own = await CertificateAuthority.create('origin', now);
  originCa = own.certificate;
  const leaf = await (await CertificateAuthority.load(own.certificate, own.key, now)).issue('localhost', now);
  origin = createHttpsServer(leaf, (request, response) => {
    seen.push({ url: request.url ?? '', headers: request.headers });
    response.end('from the origin');
  });
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  registries = new Map([[`localhost:${port()}`, { ca: originCa }]]);
});
afterAll(() => new Promise((resolve) => origin.close(resolve)));

/** Sends CONNECT. @returns the status, and the socket when it is 200 */
function tunnelTo(
  proxyPort: number,
  authority: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: IncomingMessage['headers']; socket: Duplex }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port: proxyPort, method: 'CONNECT', path: authority, headers });
    request.on('connect', ({ statusCode = 0, headers }, socket, head) => {
      socket.unshift(head);
      resolve({ status: statusCode, headers, socket });
    });
    request.on('response', ({ statusCode = 0, headers, socket }) => resolve({ status: statusCode, headers, socket }));
    request.on('error', reject).end();
  });
}

/** One request within a tunnel. @returns body and who signed for the host */
async function within(
  socket: Duplex,
  ca: string,
  options: RequestOptions,
): Promise<{ status: number; body: string; issuer: string }> {
  const tls = tlsConnect({ socket, servername: 'localhost', ca, ALPNProtocols: ['h2', 'http/1.1'] });
  await once(tls, 'secureConnect');
  expect(tls.alpnProtocol).not.toBe('h2');
  const issuer = tls.getPeerCertificate().issuer.CN;
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ ...options, createConnection: () => tls }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, issuer: String(issuer) }));
    });
    request.on('error', reject).end();
  });
}

describe('interception', () => {
  it('reads requests within CONNECT, takes blobs through the swarm and verifies the origin', async () => {
    await using proxy = await startProxy({ registries, intercept: ['localhost'] }, [BLOB_RULE], { authority });
    const { certificate } = authority;
    const open = async () => (await tunnelTo(proxy.port, `localhost:${port()}`)).socket;
    const other = await within(await open(), certificate, { path: '/x?ns=y', headers: { authorization: 'Bearer t' } });
    expect(other).toEqual({ status: 200, body: 'from the origin', issuer: 'interceptor' });
    expect(seen.at(-1)).toMatchObject({
      url: '/x?ns=y',
      headers: { authorization: 'Bearer t', host: `localhost:${port()}` },
    });
    const blob = await within(await open(), certificate, { path: BLOB });
    expect(blob.body).toBe('hello, swarm');
    expect(proxy.engine.requests[0]?.url).toBe(`https://localhost:${port()}${BLOB}`);
    expect(proxy.logs.some(({ fields }) => fields['mode'] === 'intercepted' && fields['from'] === 'source')).toBe(true);
  });

  it('weakness 4: an origin whose certificate cannot be verified is not read', async () => {
    await using proxy = await startProxy({ intercept: ['*'] }, [BLOB_RULE], { authority });
    const { socket } = await tunnelTo(proxy.port, `localhost:${port()}`);
    expect((await within(socket, authority.certificate, { path: '/x' })).status).toBe(502);
  });

  it('weakness 34: what is not intercepted keeps its own certificate', async () => {
    await using proxy = await startProxy({ intercept: ['ghcr.io'] }, [BLOB_RULE], { authority });
    const { socket } = await tunnelTo(proxy.port, `localhost:${port()}`);
    expect(await within(socket, originCa, { path: BLOB })).toMatchObject({ body: 'from the origin', issuer: 'origin' });
    await until(() => proxy.logs.length === 1);
    expect(proxy.logs[0]?.fields).toMatchObject({ mode: 'connect', why: 'tunnel', status: 200 });
  });

  it('passes on unread what turns out to be no TLS', async () => {
    await using echo = await echoServer();
    await using proxy = await startProxy({ intercept: ['*'] }, [BLOB_RULE], { authority });
    const { socket } = await tunnelTo(proxy.port, `127.0.0.1:${echo.port}`);
    socket.write('SSH-2.0-client');
    expect(String(((await once(socket, 'data')) as [Buffer])[0])).toBe('SSH-2.0-client');
    socket.destroy();
  });

  it('serves several requests on one connection, and no CONNECT within it', async () => {
    await using proxy = await startProxy({ registries, intercept: ['*'] }, [BLOB_RULE], { authority });
    const { socket } = await tunnelTo(proxy.port, `localhost:${port()}`);
    const tls = tlsConnect({ socket, servername: 'localhost', ca: authority.certificate });
    await once(tls, 'secureConnect');
    let text = '';
    tls.on('data', (chunk) => (text += String(chunk)));
    tls.write('GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => text.split('from the origin').length === 3);
    tls.write('CONNECT localhost:1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => text.includes(' 400 '));
    tls.destroy();
  });

  it('drops a client that does not trust the certificate, and goes on', async () => {
    await using proxy = await startProxy({ registries, intercept: ['*'] }, [BLOB_RULE], { authority });
    const { socket } = await tunnelTo(proxy.port, `localhost:${port()}`);
    const tls = tlsConnect({ socket, servername: 'localhost', ca: originCa });
    await expect(once(tls, 'secureConnect')).rejects.toThrow();
    await until(() => proxy.logs.length === 1);
    const again = await tunnelTo(proxy.port, `localhost:${port()}`);
    expect((await within(again.socket, authority.certificate, { path: '/y' })).status).toBe(200);
  });
});

describe('tunnels', () => {
  it('lets each side end for itself', async () => {
    const got: string[] = [];
    await using server = await listen((socket) => {
      socket.write('hello');
      socket.on('data', (chunk) => got.push(String(chunk)));
      socket.on('end', () => socket.end('all received'));
    });
    await using proxy = await startProxy();
    const { socket } = await tunnelTo(proxy.port, `127.0.0.1:${server.port}`);
    let text = '';
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.end('request');
    await once(socket, 'end');
    expect([got.join(''), text]).toEqual(['request', 'helloall received']);
  });

  it('slows the sender down when the reader does not read, in both directions', async () => {
    await using server = await listen((socket) => socket.pause());
    await using proxy = await startProxy();
    const { socket } = await tunnelTo(proxy.port, `127.0.0.1:${server.port}`);
    const chunk = Buffer.alloc(2 ** 20);
    let written = 0;
    while (socket.write(chunk) && written < 256) written++;
    for (let still = 0, sent = -1; still < 5;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const now = (socket as Socket).bytesWritten - socket.writableLength;
      still = now === sent ? still + 1 : 0;
      sent = now;
    }
    expect((socket as Socket).bytesWritten - socket.writableLength).toBeLessThan(64 * 2 ** 20);
    socket.destroy();
  });

  it('ends the other side when one breaks off, and a silent tunnel', async () => {
    const sockets: Socket[] = [];
    await using server = await listen((socket) => sockets.push(socket.on('end', () => socket.end()).resume()));
    await using proxy = await startProxy({ tunnelIdleTimeoutMs: 50 });
    const broken = await tunnelTo(proxy.port, `127.0.0.1:${server.port}`);
    broken.socket.destroy();
    await until(() => sockets[0]?.destroyed === true || sockets[0]?.readableEnded === true);
    const silent = await tunnelTo(proxy.port, `127.0.0.1:${server.port}`);
    silent.socket.resume();
    await once(silent.socket, 'close');
  });

  it('weakness 33: says with a status that the upstream cannot be reached', async () => {
    await using proxy = await startProxy();
    const answer = await tunnelTo(proxy.port, '127.0.0.1:1');
    expect([answer.status, answer.headers['x-dragonfly-error-type']]).toEqual([502, 'proxy']);
  });

  it.each([
    ['169.254.169.254:80', 403],
    ['[fd00:ec2::254]:80', 403],
    ['metadata.google.internal:80', 403],
    ['denied.test:443', 403],
    ['localhost', 400],
    ['localhost:0', 400],
    ['user@localhost:80', 400],
    ['localhost:80/x', 400],
  ])('weakness 11: CONNECT %s is answered %d', async (authority, status) => {
    await using proxy = await startProxy({}, [BLOB_RULE], { guard: new UpstreamGuard({ deny: ['denied.test'] }) });
    const answer = await tunnelTo(proxy.port, authority);
    expect([answer.status, answer.headers['x-dragonfly-error-type']]).toEqual([status, 'proxy']);
  });

  it('weakness 11: judges the address that a name has when it is connected to', async () => {
    await using proxy = await startProxy({}, [BLOB_RULE], { guard: new UpstreamGuard({ refusePrivate: true }) });
    expect((await tunnelTo(proxy.port, `localhost:${port()}`)).status).toBe(403);
  });

  it('weakness 1: wrong proxy credentials are refused on the CONNECT itself', async () => {
    const credentials = { username: 'node', password: new Secret('s3cret') };
    await using proxy = await startProxy({ registries, intercept: ['*'] }, [BLOB_RULE], { credentials, authority });
    const refused = await tunnelTo(proxy.port, `localhost:${port()}`, { authorization: 'Basic bm9kZTpzM2NyZXQ=' });
    expect([refused.status, refused.headers['proxy-authenticate']]).toEqual([407, expect.stringMatching(/^Basic/)]);
    const right = { 'proxy-authorization': 'Basic bm9kZTpzM2NyZXQ=' };
    const { socket } = await tunnelTo(proxy.port, `localhost:${port()}`, right);
    expect((await within(socket, authority.certificate, { path: '/z' })).status).toBe(200);
  });
});

describe('disposal', () => {
  it('lets tunnels end within the drain time, then cuts them, intercepted ones too', async () => {
    await using server = await listen(() => undefined);
    const proxy = await startProxy({ registries, intercept: ['localhost'] }, [BLOB_RULE], { authority, drainMs: 30 });
    const plain = await tunnelTo(proxy.port, `127.0.0.1:${server.port}`);
    const { socket } = await tunnelTo(proxy.port, `localhost:${port()}`);
    const inside = tlsConnect({ socket, servername: 'localhost', ca: authority.certificate });
    await once(inside, 'secureConnect');
    const half = await tunnelTo(proxy.port, `localhost:${port()}`);
    for (const one of [plain.socket, inside, half.socket]) one.on('error', () => undefined).resume();
    const closed = Promise.all([plain.socket, inside, half.socket].map((one) => once(one, 'close')));
    await proxy[Symbol.asyncDispose]();
    await closed;
  });

  it('leaves nothing behind of 300 connections that are cut at once', async () => {
    await using proxy = await startProxy({ registries, intercept: ['localhost'] }, [BLOB_RULE], { authority });
    await using server = await listen((socket) => socket.on('end', () => socket.end()).resume());
    proxy.engine.task = { content: Buffer.alloc(2 ** 20), firstByte: () => new Promise(() => undefined) };
    const clients: Duplex[] = [];
    for (let count = 0; count < 100; count++) {
      const pull = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
      pull.write(`GET ${BLOB} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const tunnel = await tunnelTo(proxy.port, `127.0.0.1:${server.port}`);
      const half = await tunnelTo(proxy.port, `localhost:${port()}`);
      clients.push(pull, tunnel.socket, half.socket);
    }
    await until(() => proxy.engine.requests.length === 100);
    for (const client of clients) client.on('error', () => undefined).destroy();
    await until(() => proxy.engine.disposed === 100 && proxy.logs.length === 300);
    await until(() => server.open() === 0);
    // Nothing is left to be drained.
    const started = performance.now();
    await proxy[Symbol.asyncDispose]();
    expect(performance.now() - started).toBeLessThan(900);
    expect(proxy.metrics.failed).toBe(0);
  });
});

it('weakness 33: a request whose upstream is gone gets a status', async () => {
  await using proxy = await startProxy();
  expect((await ask(proxy.port, 'http://127.0.0.1:1/x')).status).toBe(502);
});

interface Listening extends AsyncDisposable {
  readonly port: number;
  readonly open: () => number;
}

async function listen(serve: (socket: Socket) => void): Promise<Listening> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    open: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const echoServer = () => listen((socket) => socket.pipe(socket));
