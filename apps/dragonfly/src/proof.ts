import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { StartError } from '@d7y/service-kit';
import type { LocalCluster, Node } from './cluster.ts';
import { type ProofOrigin, startProofOrigin } from './proof-origin.ts';

const PROOF_BYTES = 64 * 2 ** 20;
/** On any machine that works this takes seconds. */
const PROOF_TIMEOUT_MS = 120_000;

/** What one daemon got, and from where, in bytes. */
export interface ProofRow {
  readonly name: string;
  readonly fromOrigin: number;
  readonly fromPeers: number;
  readonly toPeers: number;
  /** What its client waited; undefined for the seed, which has none. */
  readonly seconds: number | undefined;
}

export interface Proof {
  readonly contentBytes: number;
  /** What left the origin. */
  readonly originBytes: number;
  readonly rows: readonly ProofRow[];
}

/**
 * Gets a new file of 64 MiB through all daemons at once, and looks where its bytes came from.
 * @throws {StartError} a client got other bytes, or the origin did not send each byte exactly once
 */
export async function prove(cluster: LocalCluster, { signal }: { signal: AbortSignal }): Promise<Proof> {
  await using origin = await startProofOrigin(PROOF_BYTES);
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(PROOF_TIMEOUT_MS)]);
  const before = await bytesOf(cluster.nodes);
  const clients = cluster.nodes.filter(({ isSeed }) => !isSeed);
  const seconds = new Map(
    await Promise.all(clients.map(async (node) => [node.name, await download(node, origin, bounded)] as const)),
  );
  const after = await bytesOf(cluster.nodes);
  const rows = cluster.nodes.map(({ name }, index): ProofRow => {
    const [from, to] = [before[index], after[index]];
    return {
      name,
      fromOrigin: (to?.fromSource ?? 0) - (from?.fromSource ?? 0),
      fromPeers: (to?.fromPeers ?? 0) - (from?.fromPeers ?? 0),
      toPeers: (to?.uploaded ?? 0) - (from?.uploaded ?? 0),
      seconds: seconds.get(name),
    };
  });
  // What was only made to be proved with need not stay on disk four times.
  await Promise.all(cluster.nodes.map(({ daemon }) => daemon.deleteTask(origin.sha256, { signal: bounded })));
  const proof = { contentBytes: origin.bytes, originBytes: origin.sentBytes(), rows };
  if (proof.originBytes !== proof.contentBytes) {
    throw new StartError(
      `the proof failed: the origin sent ${proof.originBytes} bytes for ${proof.contentBytes} bytes of content`,
    );
  }
  return proof;
}

const bytesOf = (nodes: readonly Node[]) => Promise.all(nodes.map(async ({ daemon }) => (await daemon.status()).bytes));

/** @returns seconds */
async function download({ name, daemon }: Node, origin: ProofOrigin, signal: AbortSignal): Promise<number> {
  const startedAt = performance.now();
  const path = `${origin.path}?ns=${encodeURIComponent(origin.authority)}`;
  const hash = createHash('sha256');
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const request = httpRequest(
    { host: '127.0.0.1', port: daemon.ports.proxy, path, signal, agent: false },
    (response) => {
      response.on('data', (chunk: Buffer) => hash.update(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(response.statusCode ?? 0));
    },
  );
  request.on('error', reject);
  request.end();
  const status = await promise.catch((error: unknown) => {
    throw new StartError(
      `the proof failed: ${name} broke off (${error instanceof Error ? error.message : String(error)})`,
      { cause: error },
    );
  });
  if (status !== 200) throw new StartError(`the proof failed: ${name} answered ${status}`);
  if (hash.digest('hex') !== origin.sha256) throw new StartError(`the proof failed: ${name} delivered other bytes`);
  return (performance.now() - startedAt) / 1000;
}
