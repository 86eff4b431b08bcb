import { connect } from 'node:net';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { common, dfdaemon } from '@d7y/api';
import type { DaemonNode } from '@d7y/testkit';
import type { Blob } from './blobs.ts';

/** No transfer of a benchmark takes longer; a hanging one must not hold it up. */
const TIMEOUT_MS = 300_000;

/** A daemon's download socket, as dfget and dfctl use it, without the start of another process. */
export class DaemonSocket {
  readonly #client: Client<typeof dfdaemon.DfdaemonDownload>;

  constructor(daemon: DaemonNode) {
    const transport = createGrpcTransport({
      baseUrl: 'http://localhost', // the authority; the address is the socket
      nodeOptions: { createConnection: () => connect(daemon.socketPath) },
      idleConnectionTimeoutMs: 1000,
    });
    this.#client = createClient(dfdaemon.DfdaemonDownload, transport);
  }

  /**
   * Has the daemon get a blob, verified, into its store.
   * @param source.origin base URL
   * @param source.peersOnly the origin may not be asked
   * @returns the id of the task
   */
  async download({ origin, blob, peersOnly }: DownloadSource): Promise<string> {
    const request = {
      download: {
        url: `${origin}${blob.path}`,
        digest: blob.digest,
        type: common.TaskType.STANDARD,
        disableBackToSource: peersOnly,
        enableTaskIdBasedBlobDigest: true,
      },
    };
    let taskId = '';
    // Pieces are reported as they arrive; the end of the stream says that all is here and right.
    for await (const answer of this.#client.downloadTask(request, { timeoutMs: TIMEOUT_MS })) {
      taskId = answer.taskId;
    }
    return taskId;
  }

  /** Makes the daemon forget a task, and tell its scheduler so. */
  async delete(taskId: string): Promise<void> {
    await this.#client.deleteTask({ taskId }, { timeoutMs: TIMEOUT_MS });
  }
}

export interface DownloadSource {
  readonly origin: string;
  readonly blob: Blob;
  readonly peersOnly: boolean;
}
