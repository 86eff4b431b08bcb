import type { Transport } from '@connectrpc/connect';
import { createGrpcConnection, type GrpcConnection, type GrpcConnectionOptions } from '@d7y/peer-protocol';

/** Connections kept at once; the one unused for longest gives way. */
const MAX_CONNECTIONS = 4_096;

/** Connections to schedulers or daemons, one per address; they open on demand and close by themselves when idle. */
export class Connections implements Disposable {
  readonly #options: GrpcConnectionOptions;
  readonly #connections = new Map<string, GrpcConnection>();

  constructor(options: GrpcConnectionOptions) {
    this.#options = options;
  }

  to({ ip, port }: { readonly ip: string; readonly port: number }): Transport {
    const key = `${ip} ${port}`;
    const connection = this.#connections.get(key) ?? createGrpcConnection({ host: ip, port }, this.#options);
    // The map keeps the order of use.
    this.#connections.delete(key);
    this.#connections.set(key, connection);
    if (this.#connections.size > MAX_CONNECTIONS) {
      const [oldest] = this.#connections;
      if (oldest !== undefined) {
        oldest[1][Symbol.dispose]();
        this.#connections.delete(oldest[0]);
      }
    }
    return connection.transport;
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections.values()) connection[Symbol.dispose]();
    this.#connections.clear();
  }
}
