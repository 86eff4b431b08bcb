import { connect } from 'node:net';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { common, dfdaemon } from '@d7y/api';
import type { DaemonNode } from '@d7y/testkit';
import type { Blob } from './blobs.ts';

/** No transfer of a benchmark takes longer; a hanging one must not hold it up. */
const TIMEOUT_MS = 300_000;

/** Lets a daemon put a blob into a file, as dfget does: over its socket, without the start of another process. */
export async function downloadTask(
  daemon: DaemonNode,
  { origin, blob, outputPath, peersOnly }: { origin: string; blob: Blob; outputPath: string; peersOnly: boolean },
): Promise<void> {
  const transport = createGrpcTransport({
    baseUrl: 'http://localhost', // the authority; the address is the socket
    nodeOptions: { createConnection: () => connect(daemon.socketPath) },
    idleConnectionTimeoutMs: 1000,
  });
  const request = {
    download: {
      url: `${origin}${blob.path}`,
      digest: blob.digest,
      type: common.TaskType.STANDARD,
      outputPath,
      overwrite: true,
      disableBackToSource: peersOnly,
      enableTaskIdBasedBlobDigest: true,
    },
  };
  const answers = createClient(dfdaemon.DfdaemonDownload, transport).downloadTask(request, { timeoutMs: TIMEOUT_MS });
  for await (const _answer of answers) {
    // Pieces are reported as they arrive; the end of the stream says that all is written.
  }
}
