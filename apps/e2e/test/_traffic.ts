import { createHash } from 'node:crypto';
import type { DaemonNode } from '@d7y/testkit';

/** Where the bytes of a daemon's downloads came from since its start, as its metrics tell. */
export interface Traffic {
  readonly backToSource: number;
  readonly remotePeer: number;
}

export async function trafficOf(daemon: DaemonNode): Promise<Traffic> {
  const text = await (await fetch(daemon.metricsUrl)).text();
  const of = (type: string): number =>
    Number(new RegExp(`^dragonfly_client_download_traffic\\{type="${type}"\\} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  return { backToSource: of('BACK_TO_SOURCE'), remotePeer: of('REMOTE_PEER') };
}

/** Gets a blob of a registry through a daemon. @returns the digest of what came, and how long it took */
export async function getBlob(
  daemon: DaemonNode,
  registryUrl: string,
  digest: string,
): Promise<{ status: number; digest: string; ms: number }> {
  const startedMs = performance.now();
  const answer = await fetch(`${daemon.proxyUrl}/v2/test/app/blobs/${digest}`, {
    headers: { 'X-Dragonfly-Registry': registryUrl },
    signal: AbortSignal.timeout(60_000),
  });
  const hash = createHash('sha256');
  for await (const chunk of answer.body ?? []) hash.update(chunk as Uint8Array);
  return { status: answer.status, digest: `sha256:${hash.digest('hex')}`, ms: performance.now() - startedMs };
}
