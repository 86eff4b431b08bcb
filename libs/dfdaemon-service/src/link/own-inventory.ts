import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { TaskStore } from '@d7y/peer-engine';
import { toSourceMessage } from '@d7y/peer-protocol';

/** Tasks in one message: some 100 KB. */
const MAX_TASKS_PER_MESSAGE = 250;
/** Told after a connect; who holds more is found by the rest when it is asked for it. */
const MAX_TASKS_TOLD = 100_000;
/** Registered so, a task is one that only peers with credentials of their own fetch from the origin (Priority.LEVEL3). */
const PRIORITY_PRIVATE = 3;

/** What this daemon can give to others, as its store has it: complete tasks. Downloads under way speak for themselves. */
export class OwnInventory {
  readonly #store: TaskStore;
  readonly #peerId: () => string;

  /** @param peerId makes a fresh one */
  constructor(store: TaskStore, peerId: () => string) {
    this.#store = store;
    this.#peerId = peerId;
  }

  /** @param isWanted which tasks are to be told */
  *messages(isWanted: (taskId: string) => boolean): Generator<swarm.Inventory, void, undefined> {
    let tasks: swarm.HeldTask[] = [];
    let told = 0;
    for (const { taskId, isComplete, url, digest, layout, isPrivate } of [...this.#store.list()]) {
      if (!isComplete || layout.contentLength === 0 || !isWanted(taskId)) continue;
      if (++told > MAX_TASKS_TOLD) break;
      tasks.push(
        create(swarm.HeldTaskSchema, {
          ...{ taskId, peerId: this.#peerId(), priority: isPrivate ? PRIORITY_PRIVATE : 0 },
          source: toSourceMessage({ url, digest, tag: undefined, application: undefined, filteredQueryParams: [] }),
          contentLength: BigInt(layout.contentLength),
          pieceLength: BigInt(layout.pieceLength),
        }),
      );
      if (tasks.length < MAX_TASKS_PER_MESSAGE) continue;
      yield create(swarm.InventorySchema, { tasks });
      tasks = [];
    }
    if (tasks.length > 0) yield create(swarm.InventorySchema, { tasks });
  }
}
