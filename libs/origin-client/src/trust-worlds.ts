import { createHash } from 'node:crypto';
import { OriginUnreachableError } from '@d7y/peer-engine';
import type { Logger } from '@d7y/service-kit';

/** Sets of authorities that requests may bring at the same time. */
export const MAX_WORLDS = 8;
/** For how long one is kept that nobody uses. */
const IDLE_MS = 5 * 60_000;

/** What was made for one set of authorities. */
interface World<Client> {
  readonly key: string;
  readonly client: Client;
  users: number;
  expiry: NodeJS.Timeout | undefined;
}

export interface TrustWorldsOptions<Client> {
  /** Makes a client that trusts these authorities, too, and shares nothing with any other. */
  readonly create: (authorities: string) => Client;
  readonly logger: Logger;
  /** Default MAX_WORLDS. */
  readonly maxWorlds?: number;
  /** Default 5 min. */
  readonly idleMs?: number;
}

/**
 * Keeps what requests learn that bring authorities of their own apart from what everybody else does, and from each other: connections,
 * tokens, questions under way, hosts that refused. Whoever makes up an authority can then spoil nothing but his own requests.
 * Owner of the clients; the least recently used one that is idle makes room for another.
 */
export class TrustWorlds<Client extends AsyncDisposable> implements AsyncDisposable {
  readonly #options: TrustWorldsOptions<Client>;
  /** By a hash of the authorities, the least recently used first. */
  readonly #worlds = new Map<string, World<Client>>();
  #isClosed = false;

  constructor(options: TrustWorldsOptions<Client>) {
    this.#options = options;
  }

  /**
   * The client for the authorities, until disposed.
   * @param url of the request, for the error
   * @throws {OriginUnreachableError} as many as there may be are in use
   */
  use(authorities: string, url: string): Disposable & { readonly client: Client } {
    const key = createHash('sha256').update(authorities).digest('base64');
    const world = this.#worlds.get(key) ?? this.#add(key, authorities, url);
    this.#worlds.delete(key);
    this.#worlds.set(key, world);
    clearTimeout(world.expiry);
    world.users++;
    let isOver = false;
    return {
      client: world.client,
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#leave(world);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const worlds = [...this.#worlds.values()];
    this.#worlds.clear();
    for (const { expiry } of worlds) clearTimeout(expiry);
    await Promise.all(worlds.map(({ client }) => client[Symbol.asyncDispose]()));
  }

  #add(key: string, authorities: string, url: string): World<Client> {
    const { create, maxWorlds = MAX_WORLDS } = this.#options;
    if (this.#isClosed) throw new OriginUnreachableError(url, 'the client is closed');
    if (this.#worlds.size >= maxWorlds) {
      const idle = [...this.#worlds.values()].find(({ users }) => users === 0);
      if (idle === undefined) {
        const reason = `requests with ${maxWorlds} other sets of authorities are under way, more are not served at once`;
        throw new OriginUnreachableError(url, reason);
      }
      this.#end(idle);
    }
    const world: World<Client> = { key, client: create(authorities), users: 0, expiry: undefined };
    this.#worlds.set(key, world);
    return world;
  }

  #leave(world: World<Client>): void {
    world.users--;
    if (world.users > 0 || this.#worlds.get(world.key) !== world) return;
    world.expiry = setTimeout(() => this.#end(world), this.#options.idleMs ?? IDLE_MS);
    world.expiry.unref();
  }

  /** Of a client that nobody uses. */
  #end(world: World<Client>): void {
    clearTimeout(world.expiry);
    this.#worlds.delete(world.key);
    world.client[Symbol.asyncDispose]().then(undefined, (error: unknown) => {
      this.#options.logger.warn({ err: error }, 'connections of a set of authorities could not be closed');
    });
  }
}
