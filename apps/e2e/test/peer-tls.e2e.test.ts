import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type AppConfig,
  blobsOf,
  type BlobDescriptor,
  type DaemonNode,
  eventually,
  makeServerCertificate,
  type ServerCertificate,
  tempDir,
  type TempDir,
} from '@d7y/testkit';
import { expectEveryByteOnce, type PullBench, startPullBench } from './_cluster.ts';
import { getBlob, trafficOf } from './_traffic.ts';

const MIB = 2 ** 20;

let scratch: TempDir;
let bench: PullBench;
let trusted: ServerCertificate;
let stranger: ServerCertificate;

const filesOf = ({ caFile, certFile, keyFile }: ServerCertificate) => ({
  caCert: caFile,
  cert: certFile,
  key: keyFile,
});
/** A daemon that proves itself by this certificate to everybody, and trusts those of its authority. */
const secure = (certificate: ServerCertificate): AppConfig => ({
  upload: { server: filesOf(certificate), client: filesOf(certificate) },
  scheduler: filesOf(certificate),
});
const none = { caCert: undefined, cert: undefined, key: undefined };
const plain: AppConfig = { upload: { server: none, client: none }, scheduler: none };

beforeAll(async () => {
  scratch = await tempDir('d7y-tls');
  const make = async (name: string): Promise<ServerCertificate> => {
    const dir = join(scratch.path, name);
    await mkdir(dir);
    return makeServerCertificate(dir, [], 'serverAuth,clientAuth');
  };
  trusted = await make('trusted');
  stranger = await make('stranger');
  bench = await startPullBench({
    daemons: 2,
    daemonConfig: secure(trusted),
    schedulerConfig: { server: { tls: filesOf(trusted) }, seedPeer: { tls: filesOf(trusted) } },
  });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
});

async function publishLayer(tag: string): Promise<BlobDescriptor> {
  const { layout } = await bench.publish({ tag, layerBytes: [12 * MIB] });
  const layer = blobsOf(layout).find(({ size }) => size > MIB);
  if (layer === undefined) throw new Error('a layer was asked for');
  bench.origin.log.clear();
  return layer;
}

const get = async (daemon: DaemonNode | undefined, { digest }: BlobDescriptor): Promise<void> => {
  if (daemon === undefined) throw new Error('a daemon was asked for');
  expect(await getBlob(daemon, bench.origin.url, digest)).toMatchObject({ status: 200, digest });
};

const isOpen = async (port: number): Promise<boolean> => {
  const socket = connect({ host: '127.0.0.1', port });
  const outcome = await Promise.race([
    once(socket, 'connect').then(() => true),
    new Promise<boolean>((resolve) => socket.once('error', () => resolve(false))),
  ]);
  socket.destroy();
  return outcome;
};

/** Why a client that has no certificate is turned away, after a handshake in which it did verify the server. */
async function refusalOf(port: number): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, ca: trusted.ca, ALPNProtocols: ['h2'] });
  const refused = new Promise<string>((resolve) => {
    socket.once('error', (error: Error) => resolve(error.message));
    socket.once('close', () => resolve('closed'));
  });
  socket.resume();
  return refused;
}

describe('a cluster with certificates', () => {
  it('pulls through the swarm, each byte once from the registry', async () => {
    const layer = await publishLayer('together');
    await Promise.all(bench.cluster.daemons.map((daemon) => get(daemon, layer)));
    expectEveryByteOnce(bench.origin, [layer]);
    for (const daemon of bench.cluster.daemons) expect((await trafficOf(daemon)).remotePeer).toBeGreaterThan(0);
  });

  it('weakness 6: shuts the port for pieces without TLS, and lets nobody without a certificate through the other', async () => {
    for (const { ports } of [...bench.cluster.seeds, ...bench.cluster.daemons]) {
      expect(await isOpen(ports.piece)).toBe(false);
      for (const port of [ports.pieceTls, ports.upload]) {
        expect(await refusalOf(port)).toMatch(/certificate required/);
      }
    }
  });

  it.each<[string, () => AppConfig]>([
    ['speaks without TLS', () => plain],
    ['has its certificate from elsewhere, and trusts that authority', () => secure(stranger)],
    [
      'trusts the right authority, and has its certificate from elsewhere',
      () => secure({ ...stranger, caFile: trusted.caFile, ca: trusted.ca }),
    ],
  ])('gives nothing to a daemon that %s', async (what, config) => {
    const layer = await publishLayer(what.replaceAll(/\W+/g, '-'));
    await get(bench.cluster.daemons[0], layer);
    const outsider = await bench.cluster.addDaemon(config());
    bench.origin.log.clear();
    await get(outsider, layer);
    // It helps itself at the registry, as it must, and nobody gets anything from it either.
    expectEveryByteOnce(bench.origin, [layer]);
    expect((await trafficOf(outsider)).remotePeer).toBe(0);
    await outsider[Symbol.asyncDispose]();
  });

  it('lets a daemon in that joins later with a certificate of its own', async () => {
    const layer = await publishLayer('later');
    await get(bench.cluster.daemons[0], layer);
    const late = await bench.cluster.addDaemon();
    using _blocked = bench.origin.blockBlobs();
    await eventually(() => get(late, layer), { timeoutMs: 30_000 });
    expect((await trafficOf(late)).remotePeer).toBeGreaterThan(0);
  });
});
