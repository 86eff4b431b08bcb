import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type Cluster,
  type DaemonNode,
  eventually,
  type FileOrigin,
  pseudoRandomBytes,
  startCluster,
  startFileOrigin,
} from '@d7y/testkit';
import { trafficOf, uploadingPiecesOf } from './_traffic.ts';
import { publishBlob, pullVerified, type PublishedBlob } from './_verified-pull.ts';

const MIB = 2 ** 20;
/** Of all uploads together: two pieces take some seconds. */
const UPLOAD_BYTES_PER_SEC = 3 * MIB;
const DRAIN_MS = 8_000;
/** No drain: what a daemon with nothing to do takes to end, on a machine that does other things. */
const SOON_MS = 4_000;

let origin: FileOrigin;
let cluster: Cluster;

beforeAll(async () => {
  origin = await startFileOrigin();
  cluster = await startCluster({
    daemons: 2,
    seeds: 0,
    daemonConfig: {
      proxy: { drainTimeout: `${DRAIN_MS / 1000}s` },
      upload: { bandwidthLimit: `${UPLOAD_BYTES_PER_SEC}B` },
    },
    schedulerConfig: { scheduler: { settleTime: '0s' } },
  });
});

// Whatever became of a test, the next one finds daemons that run.
afterEach(async () => {
  for (const node of nodes()) {
    if (node.program.end === undefined) continue;
    await node.kill();
    await node.start();
  }
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const nodes = (): readonly [DaemonNode, DaemonNode] => {
  const [parent, child] = cluster.daemons;
  if (parent === undefined || child === undefined) throw new Error('two daemons were asked for');
  return [parent, child];
};

const publish = (name: string, bytes: number): PublishedBlob => publishBlob(origin, pseudoRandomBytes(name, bytes));

/** A client in the middle of its body; `first` resolves with its first bytes, `end` with how many there were. */
function reader(daemon: DaemonNode, { path }: PublishedBlob): { first: Promise<void>; end: Promise<number> } {
  const first = Promise.withResolvers<void>();
  const end = Promise.withResolvers<number>();
  let received = 0;
  request(
    `${daemon.proxyUrl}${path}`,
    { agent: false, headers: { 'x-dragonfly-registry': origin.url } },
    (response) => {
      response.on('data', (chunk: Buffer) => {
        received += chunk.length;
        first.resolve();
      });
      response.on('error', () => undefined).on('close', () => end.resolve(received));
    },
  )
    .on('error', (error) => first.reject(error))
    .end();
  return { first: first.promise, end: end.promise };
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

describe('a daemon that is told to stop', () => {
  it('weakness 33: lets a client in mid-body and a peer in mid-piece finish, lets nobody in, and exits 0', async () => {
    const [parent, child] = nodes();
    const shared = publish('shared', 8 * MIB);
    await pullVerified(parent, origin, shared);
    origin.log.clear();
    const body = publish('body', 6 * MIB);
    const slow = origin.inject({ path: new RegExp(body.path), fault: { bytesPerSec: 2 * MIB } });
    const pull = pullVerified(parent, origin, body);
    const peerPull = pullVerified(child, origin, shared);
    // Both are under way, and neither can be over.
    await eventually(async () => {
      expect(await uploadingPiecesOf(parent)).toBeGreaterThan(0);
      expect(origin.log.bodyBytes(body.path)).toBeGreaterThan(0);
    });
    parent.program.send('SIGTERM');
    const { ports } = parent;
    await eventually(async () => {
      expect(await Promise.all([ports.proxy, ports.upload, ports.piece].map(isOpen))).toEqual([false, false, false]);
    });
    expect(parent.program.end).toBeUndefined();
    expect(await pull).toEqual({ received: body.bytes.length, isWhole: true });
    expect(await peerPull).toEqual({ received: shared.bytes.length, isWhole: true });
    expect(await parent.program.exited).toEqual({ code: 0, signal: null });
    slow[Symbol.dispose]();
    // The peer needed nobody else for it.
    expect(await trafficOf(child)).toEqual({ backToSource: 0, remotePeer: shared.bytes.length });
  });

  it('exits all the same when a client is not done within the time that is given to it', async () => {
    const [daemon] = nodes();
    const body = publish('endless', 8 * MIB);
    using _slow = origin.inject({ path: new RegExp(body.path), fault: { bytesPerSec: MIB / 4 } });
    const { first, end } = reader(daemon, body);
    await first;
    const startedMs = performance.now();
    daemon.program.send('SIGTERM');
    expect(await daemon.program.exited).toEqual({ code: 0, signal: null });
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(DRAIN_MS - 500);
    expect(tookMs).toBeLessThan(DRAIN_MS + SOON_MS);
    expect(await end).toBeLessThan(body.bytes.length);
  });

  it('exits at once when it is told twice', async () => {
    const [daemon] = nodes();
    const body = publish('twice', 8 * MIB);
    using _slow = origin.inject({ path: new RegExp(body.path), fault: { bytesPerSec: MIB / 4 } });
    const { first, end } = reader(daemon, body);
    await first;
    daemon.program.send('SIGTERM');
    await eventually(async () => expect(await isOpen(daemon.ports.proxy)).toBe(false));
    const startedMs = performance.now();
    daemon.program.send('SIGTERM');
    // Not 0: what was under way was cut off.
    expect(await daemon.program.exited).toEqual({ code: 2, signal: null });
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect(await end).toBeLessThan(body.bytes.length);
  });
});

describe('300 clients that are cut at once', () => {
  it('leave a daemon that serves, stops all it did for them, and holds no connection for them', async () => {
    const [daemon] = nodes();
    const body = publish('abandoned', 48 * MIB);
    using _slow = origin.inject({ path: new RegExp(body.path), fault: { bytesPerSec: MIB / 8 } });
    const head = `GET ${body.path} HTTP/1.1\r\nHost: x\r\nX-Dragonfly-Registry: ${origin.url}\r\n\r\n`;
    const clients = Array.from({ length: 300 }, () => connect({ host: '127.0.0.1', port: daemon.ports.proxy }));
    const begun = clients.map((client) => {
      client.on('error', () => undefined);
      client.write(head);
      return new Promise((resolve) => client.once('data', resolve));
    });
    await Promise.all(begun);
    for (const client of clients) client.resetAndDestroy();
    const sent = (): number => origin.log.bodyBytes(body.path);
    await eventually(async () => {
      const before = sent();
      await sleep(1_000);
      expect(sent()).toBe(before);
    });
    expect(sent()).toBeLessThan(body.bytes.length / 2);
    const next = publish('after', 2 * MIB);
    expect(await pullVerified(daemon, origin, next)).toEqual({ received: next.bytes.length, isWhole: true });
    const startedMs = performance.now();
    daemon.program.send('SIGTERM');
    expect(await daemon.program.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedMs).toBeLessThan(SOON_MS);
  });
});
