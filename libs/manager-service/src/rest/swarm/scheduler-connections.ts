import type { Transport } from '@connectrpc/connect';
import type { GrpcConnection, GrpcConnectionOptions } from '@d7y/peer-protocol';
import { createGrpcConnection } from '@d7y/peer-protocol';
import { LRUCache } from 'lru-cache';

/** Connections kept at once; the one unused for longest gives way. */
const MAX_CONNECTIONS = 1_024;

/** Connections to schedulers, one per address; they open on demand and close by themselves when idle. */
export class SchedulerConnections implements Disposable {
  readonly #connections: LRUCache<string, GrpcConnection>;
  readonly #options: GrpcConnectionOptions;

  constructor(options: GrpcConnectionOptions) {
    this.#options = options;
    this.#connections = new LRUCache({
      max: MAX_CONNECTIONS,
      noDisposeOnSet: true,
      dispose: (connection) => connection[Symbol.dispose](),
    });
  }

  to(host: string, port: number): Transport {
    const key = `${host} ${port}`;
    const connection = this.#connections.get(key) ?? createGrpcConnection({ host, port }, this.#options);
    this.#connections.set(key, connection);
    return connection.transport;
  }

  [Symbol.dispose](): void {
    this.#connections.clear();
  }
}
