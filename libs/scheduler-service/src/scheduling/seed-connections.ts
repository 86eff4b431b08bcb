import type { Transport } from '@connectrpc/connect';
import type { GrpcConnection, GrpcConnectionOptions } from '@d7y/peer-protocol';
import { createGrpcConnection } from '@d7y/peer-protocol';

/** Connections kept at once; the one unused for longest gives way. */
const MAX_CONNECTIONS = 4096;

/** Connections to the upload service of seeds, one per address; they open on demand and close by themselves when idle. */
export class SeedConnections implements Disposable {
  readonly #options: GrpcConnectionOptions;
  readonly #connections = new Map<string, GrpcConnection>();

  constructor(options: GrpcConnectionOptions) {
    this.#options = options;
  }

  to(host: string, port: number): Transport {
    const key = `${host}:${port}`;
    const connection = this.#connections.get(key) ?? createGrpcConnection({ host, port }, this.#options);
    // The map keeps the order of use.
    this.#connections.delete(key);
    this.#connections.set(key, connection);
    if (this.#connections.size > MAX_CONNECTIONS) {
      const [oldest] = this.#connections;
      if (oldest !== undefined) this.forget(oldest[0]);
    }
    return connection.transport;
  }

  forget(key: string): void {
    this.#connections.get(key)?.[Symbol.dispose]();
    this.#connections.delete(key);
  }

  [Symbol.dispose](): void {
    for (const key of [...this.#connections.keys()]) this.forget(key);
  }
}
