import { mkdtemp, rm } from 'node:fs/promises';
import * as http2 from 'node:http2';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { describe, expect, it } from '@jest/globals';
import { common, dfdaemon, scheduler } from '@d7y/api';
import { startGrpcServer } from './_grpc.ts';
import { startRawParent, until } from './_rig.ts';
import { CA_PEM, CERT_PEM, KEY_PEM } from './_tls.ts';
import { createDaemonTransport } from './daemon-transport.ts';
import { addressOf, createGrpcConnection } from './grpc-connection.ts';
import type { TlsOptions } from './tls-options.ts';

/** A message in the framing of gRPC. */
function framed(bytes: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + bytes.length);
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, 5);
  return frame;
}

describe('createGrpcConnection', () => {
  it('accepts a reset without error after the trailers, as grpc-go sends it', async () => {
    const answer = create(scheduler.AnnouncePeerResponseSchema, {
      response: { case: 'emptyTaskResponse', value: {} },
    });
    await using server = await startGrpcServer(() => undefined, {
      onStream(stream) {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.end(framed(toBinary(scheduler.AnnouncePeerResponseSchema, answer)));
        stream.on('wantTrailers', () => {
          stream.sendTrailers({ 'grpc-status': '0' });
          setImmediate(() => stream.close(http2.constants.NGHTTP2_NO_ERROR));
        });
      },
    });
    using connection = createGrpcConnection({ host: '127.0.0.1', port: server.port });
    const client = createClient(scheduler.Scheduler, connection.transport);
    const end = Promise.withResolvers<void>();
    const requests = (async function* () {
      yield create(scheduler.AnnouncePeerRequestSchema);
      await end.promise; // the server ends first
    })();
    const seen: unknown[] = [];
    for await (const { response } of client.announcePeer(requests)) seen.push(response.case);
    end.resolve();
    expect(seen).toEqual(['emptyTaskResponse']);
    await until(() => server.openStreams === 0);
  });

  it('takes large messages without waiting for the window of 64 KiB', async () => {
    let windows: { stream: number | undefined; connection: number | undefined } | undefined;
    await using server = await startGrpcServer(() => undefined, {
      onStream(stream) {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.session?.ping(() => {
          windows = {
            stream: stream.session?.remoteSettings.initialWindowSize,
            connection: stream.session?.state.remoteWindowSize,
          };
          stream.end(framed(toBinary(common.TaskSchema, create(common.TaskSchema, { id: 'x'.repeat(2 ** 20) }))));
        });
      },
    });
    using connection = createGrpcConnection({ host: '127.0.0.1', port: server.port });
    const task = await createClient(dfdaemon.DfdaemonUpload, connection.transport).statTask({});
    expect(task.id).toHaveLength(2 ** 20);
    expect(windows).toEqual({ stream: 512 * 1024, connection: 4 * 1024 * 1024 });
  });

  it('pings while a call is open, and gives up a connection that answers no ping', async () => {
    await using silent = await startRawParent((socket) => {
      socket.once('data', () => socket.write(Buffer.from('000000040000000000', 'hex'))); // an empty SETTINGS frame
      socket.resume();
    });
    using connection = createGrpcConnection(
      { host: '127.0.0.1', port: silent.port },
      { pingIntervalMs: 20, pingTimeoutMs: 20 },
    );
    const call = createClient(dfdaemon.DfdaemonUpload, connection.transport).statTask({});
    await expect(call).rejects.toMatchObject({ rawMessage: 'PING timed out' });
  });

  it('fails the call, and nothing else, when it is disposed while connecting', async () => {
    await using silent = await startRawParent((socket) => socket.resume());
    const connection = createGrpcConnection({ host: '127.0.0.1', port: silent.port });
    const call = createClient(dfdaemon.DfdaemonUpload, connection.transport).statTask({});
    connection[Symbol.dispose]();
    await expect(call).rejects.toBeInstanceOf(Error);
    await until(() => silent.sockets.size === 0);
  });

  it('weakness 6: speaks TLS with a server that it can verify, and shows its certificate where one is demanded', async () => {
    const tls = { cert: CERT_PEM, key: KEY_PEM, ca: CA_PEM, requestCert: true, rejectUnauthorized: true };
    await using server = await startGrpcServer(
      (router) => void router.service(dfdaemon.DfdaemonUpload, { statTask: () => ({ id: 't' }) }),
      { tls },
    );
    const statTask = async (options: TlsOptions) => {
      using connection = createGrpcConnection({ host: '127.0.0.1', port: server.port }, { tls: options });
      return (await createClient(dfdaemon.DfdaemonUpload, connection.transport).statTask({})).id;
    };
    const trusted = { ca: CA_PEM, cert: CERT_PEM, key: KEY_PEM, servername: 'scheduler.example' };
    expect(await statTask(trusted)).toBe('t');
    const { servername: _name, ...withoutName } = trusted;
    await expect(statTask(withoutName)).rejects.toThrow(/does not match|altnames/i);
    await expect(statTask({ ...trusted, ca: undefined })).rejects.toThrow(/certificate/i);
    await expect(statTask({ ca: CA_PEM, servername: 'scheduler.example' })).rejects.toBeInstanceOf(Error);
  });

  it('asks for no compression', async () => {
    await using server = await startGrpcServer(() => undefined, {
      onStream(stream) {
        stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true });
      },
    });
    const seen = Promise.withResolvers<http2.IncomingHttpHeaders>();
    using connection = createGrpcConnection(
      { host: '127.0.0.1', port: server.port },
      {
        interceptors: [
          (next) => (request) => {
            seen.resolve(Object.fromEntries(request.header));
            return next(request);
          },
        ],
      },
    );
    await createClient(dfdaemon.DfdaemonUpload, connection.transport)
      .statTask({})
      .catch(() => undefined);
    const headers = await seen.promise;
    expect(headers['grpc-encoding']).toBeUndefined();
    expect(headers['grpc-accept-encoding']).toBeUndefined();
  });
});

describe('addressOf', () => {
  it('puts IPv6 addresses in brackets', () => {
    expect(addressOf({ host: '::1', port: 1 })).toBe('[::1]:1');
    expect(addressOf({ host: '10.0.0.1', port: 1 })).toBe('10.0.0.1:1');
    expect(addressOf({ socketPath: '/run/d.sock' })).toBe('/run/d.sock');
  });
});

describe('createDaemonTransport', () => {
  it('reaches a daemon by its unix socket and by its address', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'peer-protocol-'));
    try {
      const socketPath = path.join(directory, 'd.sock');
      const routes = (id: string) => (router: Parameters<Parameters<typeof startGrpcServer>[0]>[0]) => {
        router.service(dfdaemon.DfdaemonDownload, { statTask: () => ({ id }) });
      };
      await using local = await startGrpcServer(routes('socket'), { path: socketPath });
      await using remote = await startGrpcServer(routes('tcp'));
      for (const [target, id] of [
        [{ socketPath }, 'socket'],
        [{ address: `127.0.0.1:${remote.port}` }, 'tcp'],
      ] as const) {
        using connection = createDaemonTransport(target);
        expect(await createClient(dfdaemon.DfdaemonDownload, connection.transport).statTask({})).toMatchObject({ id });
      }
      expect(local.connectionCount).toBe(1);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('refuses what is no address', () => {
    for (const address of ['', 'host', ':4000', '::1:4000', 'h:port']) {
      expect(() => createDaemonTransport({ address })).toThrow(TypeError);
    }
    using connection = createDaemonTransport({ address: '[::1]:4000' });
    expect(connection.address).toBe('[::1]:4000');
  });
});
