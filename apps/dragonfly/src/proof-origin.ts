import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An origin on loopback with one file that nobody has seen before. */
export interface ProofOrigin extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly authority: string;
  /** Path of the file, in the form of a registry's blob, so that its name says its digest. */
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Bytes of content sent so far; questions for the first byte alone are not counted. */
  sentBytes(): number;
}

export async function startProofOrigin(bytes: number): Promise<ProofOrigin> {
  const content = randomBytes(bytes);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const path = `/v2/dragonfly/proof/blobs/sha256:${sha256}`;
  let sentBytes = 0;
  const server = createServer((request, response) => {
    const { range } = request.headers;
    if (request.url?.split('?', 1)[0] !== path) {
      response.writeHead(404, { 'content-length': '0' }).end();
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
    const start = Number(first ?? 0);
    const end = last ? Math.min(Number(last), bytes - 1) : bytes - 1;
    if (start > end) {
      response.writeHead(416, { 'content-range': `bytes */${bytes}`, 'content-length': '0' }).end();
      return;
    }
    const body = content.subarray(start, end + 1);
    response.writeHead(first === undefined ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': body.length,
      'accept-ranges': 'bytes',
      ...(first === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${bytes}` }),
    });
    if (request.method === 'HEAD') response.end();
    else {
      if (range !== 'bytes=0-0') sentBytes += body.length;
      response.end(body);
    }
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  return {
    authority: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ path, sha256, bytes },
    sentBytes: () => sentBytes,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}
