import type { PieceConnection } from './piece-connection.ts';

/** As many as pieces are asked of one parent at the same time. */
const MAX_PER_PARENT = 8;
const MAX_IN_ALL = 256;
/** Shorter than servers of ours wait, so that a request seldom meets a connection that is being closed. */
const IDLE_MS = 5_000;

/** Connections over which a piece has come and nothing is under way. Owns them; each is closed after a while. */
export class KeptConnections implements Disposable {
  readonly #idleMs: number;
  /** By address, the last used one last. */
  readonly #idle = new Map<string, Map<PieceConnection, NodeJS.Timeout>>();
  #size = 0;
  #isClosed = false;

  constructor({ idleMs = IDLE_MS }: { idleMs?: number | undefined } = {}) {
    this.#idleMs = idleMs;
  }

  get size(): number {
    return this.#size;
  }

  /** The one that was used last, if there is one. It is the caller's from now on. */
  take(address: string): PieceConnection | undefined {
    const connection = [...(this.#idle.get(address)?.keys() ?? [])].at(-1);
    if (connection === undefined) return undefined;
    this.#forget(address, connection);
    connection.setIdle(false);
    return connection;
  }

  /** Takes a connection on which nothing is expected any more. */
  keep(address: string, connection: PieceConnection): void {
    const kept = this.#idle.get(address) ?? new Map<PieceConnection, NodeJS.Timeout>();
    if (this.#isClosed || kept.size >= MAX_PER_PARENT || this.#size >= MAX_IN_ALL) return connection.destroy();
    const drop = (): void => {
      this.#forget(address, connection);
      connection.destroy();
    };
    connection.isUsed = true;
    connection.user = {
      connected: () => undefined,
      target: () => undefined,
      // Nobody asked for these bytes.
      read: () => {
        drop();
        return false;
      },
      broke: drop,
    };
    this.#idle.set(address, kept.set(connection, setTimeout(drop, this.#idleMs).unref()));
    this.#size++;
    connection.setIdle(true);
    // Its end is noticed only by reading.
    connection.resume();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const [address, kept] of this.#idle) {
      for (const connection of [...kept.keys()]) {
        this.#forget(address, connection);
        connection.destroy();
      }
    }
  }

  #forget(address: string, connection: PieceConnection): void {
    const kept = this.#idle.get(address);
    const timer = kept?.get(connection);
    if (kept === undefined || timer === undefined) return;
    clearTimeout(timer);
    kept.delete(connection);
    if (kept.size === 0) this.#idle.delete(address);
    this.#size--;
  }
}
