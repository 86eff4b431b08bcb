import { createHash } from 'node:crypto';
import { request } from 'node:http';
import type { DaemonNode, FileOrigin } from '@d7y/testkit';

/** Content under the name of a registry blob. */
export interface PublishedBlob {
  readonly path: string;
  readonly bytes: Buffer;
}

/** Puts content where a registry would have it. */
export function publishBlob(origin: FileOrigin, bytes: Buffer, repository = 'test/app'): PublishedBlob {
  const digest = createHash('sha256').update(bytes).digest('hex');
  const path = `/v2/${repository}/blobs/sha256:${digest}`;
  origin.publish(path, { bytes });
  return { path, bytes };
}

/** How a pull ended. */
export interface PullEnd {
  /** Bytes that came before the end; all of them were right. */
  readonly received: number;
  readonly isWhole: boolean;
}

/**
 * Pulls a blob through a daemon's mirror and compares every byte as it comes, also of an answer that breaks off.
 * @throws at the first byte that is not the blob's, or an answer that is no success
 */
export function pullVerified(
  daemon: Pick<DaemonNode, 'proxyUrl'>,
  origin: Pick<FileOrigin, 'url'>,
  { path, bytes }: PublishedBlob,
): Promise<PullEnd> {
  return new Promise((resolve, reject) => {
    let received = 0;
    const ended = (): void => resolve({ received, isWhole: received === bytes.length });
    const ask = request(
      `${daemon.proxyUrl}${path}`,
      { agent: false, headers: { 'x-dragonfly-registry': origin.url } },
      (response) => {
        if (response.statusCode !== 200) {
          response.resume();
          reject(new Error(`status ${response.statusCode ?? 0} for ${path}`));
          return;
        }
        response.on('data', (chunk: Buffer) => {
          if (!chunk.equals(bytes.subarray(received, received + chunk.length))) {
            reject(new Error(`a wrong byte of ${path} was served at or after ${received}`));
            response.destroy();
          }
          received += chunk.length;
        });
        response.on('end', ended).on('error', ended).on('close', ended);
      },
    );
    // A daemon that is gone answers nothing: nothing wrong was served.
    ask.on('error', ended);
    ask.end();
  });
}
