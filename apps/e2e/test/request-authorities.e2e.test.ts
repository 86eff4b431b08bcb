import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { type common, dfdaemon, scheduler as schedulerApi } from '@d7y/api';
import { createDaemonTransport } from '@d7y/peer-protocol';
import { type BlobDescriptor, blobsOf, type DaemonNode, eventually, type SchedulerNode } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectEveryByteOnce, type PullBench, startPullBench } from './_cluster.ts';
import { runApp } from './_program.ts';
import { schedulerKnows } from './_scheduler-knows.ts';
import { getBlob, heldBytes } from './_traffic.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Less than a piece, and some pieces. */
const LAYERS = [5 * KIB, 9 * MIB];

type DownloadShape = MessageInitShape<typeof common.DownloadSchema>;

/** Asks a daemon for a download, as a program on its machine or as anybody on the network. @returns the bytes, where they are asked for */
async function download(target: { socketPath: string } | { address: string }, asked: DownloadShape): Promise<Buffer> {
  using daemon = createDaemonTransport(target);
  const service = 'socketPath' in target ? dfdaemon.DfdaemonDownload : dfdaemon.DfdaemonUpload;
  const chunks: Uint8Array[] = [];
  const messages = createClient(service, daemon.transport).downloadTask(
    { download: asked },
    { signal: AbortSignal.timeout(30_000) },
  );
  for await (const { response } of messages) {
    const content = response.case === 'downloadPieceFinishedResponse' ? response.value.piece?.content : undefined;
    if (content !== undefined) chunks.push(content);
  }
  return Buffer.concat(chunks);
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('a registry with TLS under an authority that no daemon was told of', () => {
  let bench: PullBench;
  let scheduler: SchedulerNode;
  let daemon: DaemonNode;
  let seed: DaemonNode;
  let caFile: string;
  let certificateChain: Uint8Array[];

  beforeAll(async () => {
    bench = await startPullBench({
      registry: { tls: true },
      daemons: 1,
      daemonConfig: { proxy: { registries: [] } },
      schedulerConfig: { preheat: { enableTaskIDBasedBlobDigest: true, upstreams: { refusePrivate: false } } },
    });
    const { cluster, registry } = bench;
    if (cluster.scheduler === undefined || cluster.daemons[0] === undefined || cluster.seeds[0] === undefined)
      throw new Error('the cluster is incomplete');
    scheduler = cluster.scheduler;
    [daemon, seed] = [cluster.daemons[0], cluster.seeds[0]];
    if (registry.certificate === undefined) throw new Error('the registry has a certificate');
    caFile = registry.certificate.caFile;
    certificateChain = [Buffer.from(registry.certificate.ca)];
    await schedulerKnows(scheduler.address, 2);
  });
  afterAll(async () => bench[Symbol.asyncDispose]());

  /** The blobs of a new image, the largest last. */
  async function publish(tag: string): Promise<readonly BlobDescriptor[]> {
    const { layout } = await bench.publish({ tag, layerBytes: LAYERS });
    bench.origin.log.clear();
    return [...blobsOf(layout)].sort((a, b) => a.size - b.size);
  }
  const urlOf = ({ digest }: BlobDescriptor): string => `${bench.origin.url}/v2/test/app/blobs/${digest}`;
  const onNetwork = ({ ports }: DaemonNode) => ({ address: `127.0.0.1:${ports.upload}` });

  it('weakness 23: is read from for a program of the machine that names it, and for nobody else thereby', async () => {
    const [small, , large] = await publish('local');
    if (small === undefined || large === undefined) throw new Error('the image has layers');
    const ask = (blob: BlobDescriptor, more: DownloadShape = {}) =>
      download({ socketPath: daemon.socketPath }, { url: urlOf(blob), needPieceContent: true, ...more });
    await expect(ask(large)).rejects.toThrow('certificate');
    const bytes = await ask(large, { certificateChain, enableTaskIdBasedBlobDigest: true });
    expect(sha256(bytes)).toBe(large.digest);
    expectEveryByteOnce(bench.origin, [large]);
    await expect(ask(small)).rejects.toThrow('certificate');
    const output = join(bench.scratch, 'blob');
    const dfget = ['-O', output, '-e', daemon.socketPath, '--digest', small.digest, '--ca', caFile];
    expect(await runApp('dfget', { args: [urlOf(small), ...dfget] })).toMatchObject({ code: 0 });
    expect(sha256(await readFile(output))).toBe(small.digest);
    // Content without a digest in its URL.
    const url = `${bench.origin.url}/v2/`;
    expect(
      (await download({ socketPath: daemon.socketPath }, { url, certificateChain, needPieceContent: true })).toString(),
    ).toBe('{}');
  });

  it('weakness 23: is preheated from when the preheat names it, and pulls ask it for nothing then', async () => {
    const blobs = await publish('preheat');
    const client = createClient(
      schedulerApi.Scheduler,
      createGrpcTransport({ baseUrl: `http://${scheduler.address}` }),
    );
    const request = {
      url: `${bench.origin.url}/v2/test/app/manifests/preheat`,
      platform: 'linux/amd64',
      scope: 'single_seed_peer',
    };
    await expect(client.preheatImage(request)).rejects.toThrow('certificate');
    await client.preheatImage({ ...request, certificateChain });
    for (const blob of blobs)
      await eventually(async () => expect(await heldBytes(seed, blob)).toBe(blob.size), { timeoutMs: 30_000 });
    expectEveryByteOnce(bench.origin, blobs);
    for (const { digest } of blobs)
      expect(await getBlob(daemon, bench.origin.url, digest)).toMatchObject({ status: 200, digest });
    expectEveryByteOnce(bench.origin, blobs);
  });

  it('gives nobody on the network anything on the word of an authority that he names', async () => {
    const [blob] = await publish('network');
    if (blob === undefined) throw new Error('the image has layers');
    const ask = (more: DownloadShape) => download(onNetwork(seed), { url: urlOf(blob), certificateChain, ...more });
    await expect(ask({ needPieceContent: true })).rejects.toThrow('certificate');
    await expect(ask({ url: `${bench.origin.url}/v2/`, digest: blob.digest })).rejects.toThrow('certificate');
    expect(bench.origin.log.requests).toEqual([]);
    expect(seed.lines.join('\n')).toContain('proxy.registries[].cert');
    // To keep a blob for others is another matter.
    await ask({ enableTaskIdBasedBlobDigest: true });
    expect(await heldBytes(seed, blob)).toBe(blob.size);
  });
});
