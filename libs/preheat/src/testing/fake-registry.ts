import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
export const PASSWORD = 'planted-password';
export const TOKEN = 'planted-token';

/** A registry with one image for two platforms, for one account only if it is told so. */
export class FakeRegistry implements AsyncDisposable {
  isPrivate = false;
  readonly #server: Server;
  readonly #documents = new Map<string, string>();
  readonly blobs: Readonly<Record<'amd64' | 'arm64', readonly string[]>>;

  private constructor(server: Server) {
    this.#server = server;
    const blob = (text: string) => ({
      mediaType: 'application/octet-stream',
      digest: digestOf(text),
      size: text.length,
    });
    const shared = blob('shared layer');
    const manifestOf = (architecture: string) => {
      const blobs = [blob(`configuration of ${architecture}`), shared, blob(`layer of ${architecture}`)];
      const text = JSON.stringify({ schemaVersion: 2, config: blobs[0], layers: [...blobs.slice(1), shared] });
      this.#documents.set(digestOf(text), text);
      const platform = { os: 'linux', architecture };
      return { blobs: blobs.map(({ digest }) => digest), entry: { ...blob(text), platform } };
    };
    const [amd64, arm64] = [manifestOf('amd64'), manifestOf('arm64')];
    this.blobs = { amd64: amd64.blobs, arm64: arm64.blobs };
    this.#documents.set('latest', JSON.stringify({ schemaVersion: 2, manifests: [amd64.entry, arm64.entry] }));
    server.on('request', (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://x');
      const { authorization } = request.headers;
      if (pathname === '/token') {
        const expected = `Basic ${Buffer.from(`user:${PASSWORD}`).toString('base64')}`;
        if (authorization !== expected) response.writeHead(401).end();
        else response.end(JSON.stringify({ token: TOKEN }));
        return;
      }
      if (this.isPrivate && authorization !== `Bearer ${TOKEN}`) {
        const challenge = `Bearer realm="${this.url}/token",service="r",scope="repository:library/app:pull"`;
        response.writeHead(401, { 'www-authenticate': challenge }).end();
        return;
      }
      const text = this.#documents.get(pathname.split('/manifests/')[1] ?? '');
      if (text === undefined) response.writeHead(404).end();
      else response.setHeader('content-type', 'application/json').end(text);
    });
  }

  static async start(): Promise<FakeRegistry> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FakeRegistry(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get imageUrl(): string {
    return `${this.url}/v2/library/app/manifests/latest`;
  }

  blobUrls(architecture: 'amd64' | 'arm64'): string[] {
    return this.blobs[architecture].map((digest) => `${this.url}/v2/library/app/blobs/${digest}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close').catch(() => undefined);
  }
}
