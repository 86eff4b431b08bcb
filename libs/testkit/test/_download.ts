import { type IncomingHttpHeaders, request } from 'node:http';

/** What a client saw of one answer. */
export interface Download {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body ended before its announced end. */
  readonly cut: boolean;
  readonly ms: number;
}

/** Downloads over a connection of its own; a cut body is a result, a connection without an answer an error. */
export function download(
  url: string,
  headers: Record<string, string> = {},
  { method = 'GET', signal }: { method?: string; signal?: AbortSignal } = {},
): Promise<Download> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const asking = request(url, { headers, method, agent: false, ...(signal && { signal }) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => undefined);
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
          cut: !response.complete,
          ms: performance.now() - began,
        }),
      );
    });
    asking.once('error', reject).end();
  });
}
