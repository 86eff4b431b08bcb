import type { Client } from '@connectrpc/connect';
import { Code, ConnectError } from '@connectrpc/connect';
import type { swarm } from '@d7y/api';
import { isPort } from './parent-offer.ts';
import type { Hello, HelloAnswer } from './parent.ts';

/** Asks a process whether it is one of ours; remembers that a stock one is not, and asks again after any other failure. */
export class Greeting {
  readonly #client: Client<typeof swarm.SwarmService>;
  readonly #self: Hello;
  #isStock = false;

  /** @param self how we introduce ourselves */
  constructor(client: Client<typeof swarm.SwarmService>, self: Hello) {
    this.#client = client;
    this.#self = self;
  }

  /** @returns undefined from a stock process. @throws {ConnectError} */
  async exchange(options: { signal: AbortSignal; timeoutMs: number }): Promise<HelloAnswer | undefined> {
    if (this.#isStock) return undefined;
    try {
      const answer = await this.#client.hello({ ...this.#self, features: [...this.#self.features] }, options);
      const { instanceId, version, features, pieceTlsPort } = answer;
      return { instanceId, version, features, pieceTlsPort: isPort(pieceTlsPort) ? pieceTlsPort : undefined };
    } catch (error) {
      // A server without the service answers Unimplemented; Connect reads HTTP 404 the same way.
      if (ConnectError.from(error).code !== Code.Unimplemented) throw error;
      this.#isStock = true;
      return undefined;
    }
  }
}
