import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A registry of one blob, on loopback, that counts what it sends. */
export interface ProofOrigin extends AsyncDisposable {
  readonly url: string;
  readonly digest: string;
  readonly size: number;
  /** Body bytes sent so far, apart from one-byte questions for the length. */
  readonly sentBytes: number;
}

/** Serves fresh random content, so that nothing of it is cached anywhere. */
export async function startProofOrigin(size: number): Promise<ProofOrigin> {
  const content = randomBytes(size);
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  let sentBytes = 0;
  const server = createServer((incoming, answer) => {
    if (incoming.url !== `/v2/proof/blobs/${digest}`) {
      answer.writeHead(404).end();
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(incoming.headers.range ?? '') ?? [];
    const range = first === undefined ? undefined : { start: Number(first), end: Math.min(Number(last) + 1, size) };
    const body = range === undefined ? content : content.subarray(range.start, range.end);
    const isHead = incoming.method === 'HEAD';
    if (!isHead && body.length > 1) sentBytes += body.length;
    answer.writeHead(range === undefined ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': body.length,
      'accept-ranges': 'bytes',
      ...(range !== undefined && { 'content-range': `bytes ${range.start}-${range.end - 1}/${size}` }),
    });
    answer.end(isHead ? undefined : body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    digest,
    size,
    get sentBytes() {
      return sentBytes;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
