import { packetIdOf } from '@d7y/peer-protocol';
import type { Context } from '@opentelemetry/api';
import { LRUCache } from 'lru-cache';

/** Children that asked for pieces lately; more than this are forgotten, and their uploads begin traces of their own. */
const MAX_CHILDREN = 10_000;

/**
 * Which trace a child's piece requests belong to. The piece protocol has no room for one, so it is taken from the SyncPieces call
 * by which that child asked about the task: told apart by address and packet id, by either alone where they are not as announced.
 */
export class ChildTraces {
  readonly #contexts = new LRUCache<string, Context>({ max: MAX_CHILDREN * 3 });

  /** @param hostId of the child, `ip-hostname` */
  remember(taskId: string, hostId: string, context: Context): void {
    const ip = /^([0-9a-fA-F.:]+)-/.exec(hostId)?.[1] ?? '';
    const packetId = packetIdOf(hostId);
    for (const key of keysOf(taskId, ip, packetId)) this.#contexts.set(key, context);
  }

  find(taskId: string, child: { readonly ip: string; readonly packetId: number }): Context | undefined {
    for (const key of keysOf(taskId, child.ip.replace(/^::ffff:/, ''), child.packetId)) {
      const context = this.#contexts.get(key);
      if (context !== undefined) return context;
    }
    return undefined;
  }
}

/** From the most to the least telling. */
function keysOf(taskId: string, ip: string, packetId: number): readonly string[] {
  return [`${taskId} ${ip} ${packetId}`, `${taskId} * ${packetId}`, `${taskId} ${ip} *`];
}
