import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createPieceClient, type TlsOptions } from '@d7y/peer-protocol';
import { BufferPool } from '@d7y/service-kit';
import { makeServerCertificate, type ServerCertificate } from '@d7y/testkit';
import { describe, expect, it, jest } from '@jest/globals';
import type { RunningDfdaemon } from '../src/index.ts';
import { blobPath, contentOf, DaemonFarm, get, sha256, startOrigin } from './_cluster.ts';

/** Several daemons start in each test. */
jest.setTimeout(120_000);

/** One piece. */
const SECRET = contentOf('secret', 300_000);
const OPEN = contentOf('open', 200_000);
const blobs = new Map([
  [blobPath(SECRET, 'team/private'), SECRET],
  [blobPath(OPEN), OPEN],
]);
const authorization = 'Bearer planted-token';

/** A daemon that holds a private and a public blob, whose tasks are named. */
async function startHolding(
  farm: DaemonFarm,
  authority: string,
  certificate?: ServerCertificate,
): Promise<{ daemon: RunningDfdaemon; secretTask: string; openTask: string }> {
  const name = certificate === undefined ? 'plain' : 'secure';
  const files = certificate && { caCert: certificate.caFile, cert: certificate.certFile, key: certificate.keyFile };
  const server = { ip: '127.0.0.1', port: 0 };
  const daemon = await farm.start(name, {
    upload: { server: { ...server, ...files }, ...(files && { client: files }) },
    proxy: { server, access: 'strict', registryMirror: { enableTaskIDBasedBlobDigest: true } },
    storage: { dir: join(farm.dir, name), server: { ip: '127.0.0.1', tcpPort: 0, tlsPort: 0 } },
  });
  const to = { port: daemon.ports.proxy };
  const open = await get(to, `${blobPath(OPEN)}?ns=${authority}`);
  const secret = await get(to, `${blobPath(SECRET, 'team/private')}?ns=${authority}`, { authorization });
  expect([sha256(open.body), sha256(secret.body)]).toEqual([sha256(OPEN), sha256(SECRET)]);
  const kept = await readdir(join(farm.dir, name), { recursive: true, withFileTypes: true });
  const tasks = kept.filter((entry) => entry.isFile() && /^[0-9a-f]{64}$/.test(entry.name)).map((entry) => entry.name);
  // Private content is no task of its digest alone, by which it could be asked for.
  const [secretTask = '', ...others] = tasks.filter((task) => task !== sha256(OPEN));
  expect([tasks.includes(sha256(OPEN)), others, secretTask]).toEqual([
    true,
    [],
    expect.not.stringMatching(sha256(SECRET)),
  ]);
  return { daemon, secretTask, openTask: sha256(OPEN) };
}

/** A piece as another daemon would fetch it. */
async function fetchFrom(
  { ports }: RunningDfdaemon,
  taskId: string,
  length: number,
  tls?: TlsOptions,
): Promise<string> {
  const client = createPieceClient({
    ...{ bufferPool: new BufferPool({ bufferBytes: 64 * 1024, maxBuffers: 4 }), packetId: 1, tls },
  });
  const bytes = Buffer.alloc(length);
  const sink = {
    write: (position: number, runs: readonly Uint8Array[]) => {
      bytes.set(Buffer.concat(runs), position);
      return Promise.resolve();
    },
  };
  const piece = { ip: '127.0.0.1', tcpPort: ports.piece, kind: 'standard', taskId, number: 0 } as const;
  await client.fetchPiece({ ...piece, expected: { offset: 0, length } }, sink, { signal: AbortSignal.timeout(20_000) });
  return sha256(bytes);
}

/** Serves the private blob to who brings the token, the other one to anybody. */
async function startRegistry() {
  const origin = await startOrigin(blobs);
  origin.admit = (request) =>
    !request.url.includes('/private/') || request.authorization === authorization ? 200 : 401;
  return origin;
}

describe('private content, where access is strict', () => {
  it('leaves over the TLS port of a daemon, for those with a certificate of its authority', async () => {
    await using origin = await startRegistry();
    await using farm = await DaemonFarm.create();
    const make = async (name: string) => {
      await mkdir(join(farm.dir, name));
      return await makeServerCertificate(join(farm.dir, name), [], 'serverAuth,clientAuth');
    };
    const [known, foreign] = [await make('known'), await make('foreign')];
    const { daemon, secretTask, openTask } = await startHolding(farm, origin.authority, known);
    const { ca, cert, key } = known;
    expect(await fetchFrom(daemon, secretTask, SECRET.length, { ca, cert, key })).toBe(sha256(SECRET));
    expect(await fetchFrom(daemon, openTask, OPEN.length, { ca, cert, key })).toBe(sha256(OPEN));
    for (const tls of [undefined, { ca }, { ca, cert: foreign.cert, key: foreign.key }])
      await expect(fetchFrom(daemon, secretTask, SECRET.length, tls)).rejects.toThrow();
  });

  it('does not leave over a port that does not tell who asks, as public content does', async () => {
    await using origin = await startRegistry();
    await using farm = await DaemonFarm.create();
    const { daemon, secretTask, openTask } = await startHolding(farm, origin.authority);
    expect(await fetchFrom(daemon, openTask, OPEN.length)).toBe(sha256(OPEN));
    await expect(fetchFrom(daemon, secretTask, SECRET.length)).rejects.toThrow();
  });
});
