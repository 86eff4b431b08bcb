import { createHash } from 'node:crypto';
import { get } from 'node:http';
import type { PlannedDaemon } from './plan.ts';
import { startProofOrigin } from './proof-origin.ts';
import { readStatus } from './status.ts';

const MIB = 2 ** 20;
const PROOF_BYTES = 64 * MIB;
/** On loopback it takes about a second; a machine that needs a minute has another problem. */
const PROOF_TIMEOUT_MS = 60_000;

/** What one daemon did. */
export interface ProofRow {
  readonly name: string;
  /** Bytes its client got; none asked the seed. */
  readonly deliveredBytes: number;
  readonly fromSourceBytes: number;
  readonly fromPeersBytes: number;
  readonly uploadedBytes: number;
  readonly seconds: number | undefined;
}

export interface ProofResult {
  readonly taskId: string;
  readonly contentBytes: number;
  /** What left the origin. */
  readonly originBytes: number;
  readonly rows: readonly ProofRow[];
  /** The origin sent each byte once, and every client got the whole content. */
  readonly holds: boolean;
}

/** Gets a fresh file through all daemons at once and tells who got which bytes from where. */
export async function proveCluster(
  daemons: readonly PlannedDaemon[],
  { signal }: { signal: AbortSignal },
): Promise<ProofResult> {
  await using origin = await startProofOrigin(PROOF_BYTES);
  const either = AbortSignal.any([signal, AbortSignal.timeout(PROOF_TIMEOUT_MS)]);
  const statuses = () => Promise.all(daemons.map(({ socketPath }) => readStatus(socketPath)));
  const before = await statuses();
  const pulls = await Promise.all(
    daemons.map(async (daemon) =>
      daemon.isSeed ? undefined : await pull(daemon.proxyPort, origin.url, origin.digest, either),
    ),
  );
  const after = await statuses();
  const rows = daemons.map(({ name }, index) => {
    const [was, is, pulled] = [before[index]?.bytes, after[index]?.bytes, pulls[index]];
    return {
      name,
      deliveredBytes: pulled?.bytes ?? 0,
      fromSourceBytes: (is?.fromSource ?? 0) - (was?.fromSource ?? 0),
      fromPeersBytes: (is?.fromPeers ?? 0) - (was?.fromPeers ?? 0),
      uploadedBytes: (is?.uploaded ?? 0) - (was?.uploaded ?? 0),
      seconds: pulled?.seconds,
    };
  });
  const isWhole = pulls.every((pulled) => pulled === undefined || pulled.digest === origin.digest);
  return {
    taskId: origin.digest.slice('sha256:'.length), // the daemons of the plan name blobs by digest
    contentBytes: origin.size,
    originBytes: origin.sentBytes,
    rows,
    holds: isWhole && origin.sentBytes === origin.size,
  };
}

async function pull(
  proxyPort: number,
  registry: string,
  digest: string,
  signal: AbortSignal,
): Promise<{ bytes: number; digest: string; seconds: number }> {
  const startedMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<{ bytes: number; digest: string; seconds: number }>();
  const options = {
    ...{ host: '127.0.0.1', port: proxyPort, path: `/v2/proof/blobs/${digest}`, signal },
    headers: { 'X-Dragonfly-Registry': registry },
  };
  get(options, (answer) => {
    const hash = createHash('sha256');
    let bytes = 0;
    answer.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    answer.on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode !== 200) reject(new Error(`port ${proxyPort} answered ${answer.statusCode ?? 'nothing'}`));
      else resolve({ bytes, digest: `sha256:${hash.digest('hex')}`, seconds: (performance.now() - startedMs) / 1000 });
    });
  }).on('error', reject);
  return promise;
}
