import { createHash } from 'node:crypto';
import { createParentClientPool, RpcError } from '@d7y/peer-protocol';
import { createLayout } from '@d7y/piece';
import type { BlobDescriptor, DaemonNode, SchedulerNode } from '@d7y/testkit';

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

/** Pieces that a daemon is sending to others at this moment, as its metrics tell. */
export async function uploadingPiecesOf(daemon: DaemonNode): Promise<number> {
  const text = await (await fetch(daemon.metricsUrl)).text();
  return Number(/^dragonfly_client_concurrent_upload_piece_total (\S+)$/m.exec(text)?.[1] ?? 0);
}

/** Bytes of a blob that a daemon holds in whole pieces, as it tells other daemons; it must not be fetching the blob. */
export async function heldBytes(daemon: DaemonNode, { digest, size }: BlobDescriptor): Promise<number> {
  await using clients = createParentClientPool({ hostId: 'test', version: 'test' });
  const client = clients.at({ ip: '127.0.0.1', port: daemon.ports.upload });
  const interested = Array.from({ length: createLayout(size).pieceCount }, (_, number) => number);
  const request = { taskId: digest.slice('sha256:'.length), hostId: 'test', interested };
  let bytes = 0;
  try {
    for await (const { length } of client.syncPieces(request, { signal: AbortSignal.timeout(10_000) })) bytes += length;
  } catch (error) {
    // A blob that it had not begun is one that it does not know.
    if (!(error instanceof RpcError && error.reason.endsWith('is not here'))) throw error;
  }
  return bytes;
}

/** Downloads that peers have registered with a scheduler since its start, as its metrics tell. */
export async function registrationsOf(scheduler: SchedulerNode): Promise<number> {
  const text = await (await fetch(scheduler.metricsUrl)).text();
  return [...text.matchAll(/^dragonfly_scheduler_register_peer_total\{[^}]*\} (\S+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

/** Gets a blob of a registry through a daemon. @returns the digest of what came, and how long it took */
export async function getBlob(
  daemon: DaemonNode,
  registryUrl: string,
  digest: string,
  onFirstBytes?: () => void,
): Promise<{ status: number; digest: string; ms: number }> {
  const startedMs = performance.now();
  const answer = await fetch(`${daemon.proxyUrl}/v2/test/app/blobs/${digest}`, {
    headers: { 'X-Dragonfly-Registry': registryUrl },
    signal: AbortSignal.timeout(60_000),
  });
  const hash = createHash('sha256');
  for await (const chunk of answer.body ?? []) {
    onFirstBytes?.();
    hash.update(chunk as Uint8Array);
  }
  return { status: answer.status, digest: `sha256:${hash.digest('hex')}`, ms: performance.now() - startedMs };
}
