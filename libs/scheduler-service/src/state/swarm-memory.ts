import { join } from 'node:path';
import type { Logger } from '@d7y/service-kit';
import type { HostView, PeerView, Swarm, SwarmWatcher, TaskSize, TaskView } from '@d7y/swarm';
import type { Records } from '../messages/records.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';
import { hostLeftRecord, hostRecord, holderLeftRecord, holderRecord, replay, taskRecord } from './state-records.ts';
import type { RecordContent } from './record-file.ts';
import { StateStore } from './state-store.ts';

export interface SwarmMemoryOptions {
  readonly dataDir: string;
  readonly swarm: Swarm;
  readonly driver: SwarmDriver;
  readonly records: Records;
  readonly logger: Logger;
}

/**
 * Keeps hosts, tasks and who holds them whole over a restart. Downloads under way are not kept: their peers come back by themselves and
 * say what they have. Begins with what the last process left, which is offered to nobody until its host is heard of.
 */
export class SwarmMemory implements AsyncDisposable, SwarmWatcher {
  readonly #options: SwarmMemoryOptions;
  readonly #store: StateStore;
  /** By host id: what was written of the host, without the figures that change all the time. */
  readonly #written = new WeakMap<HostView, string>();
  readonly #told = new WeakMap<TaskView, Told>();

  private constructor(options: SwarmMemoryOptions, store: StateStore) {
    this.#options = options;
    this.#store = store;
  }

  /** @throws when the directory cannot be made or read */
  static async open(options: SwarmMemoryOptions): Promise<SwarmMemory> {
    const { dataDir, swarm, driver, records, logger } = options;
    const startedMs = performance.now();
    const current = () => memory.#current();
    const { store, records: found } = await StateStore.open({ dir: join(dataDir, 'swarm'), logger, current });
    const memory = new SwarmMemory(options, store);
    const { hosts, tasks, holders, unreadable } = replay(found);
    driver.tell((core, nowMs) => {
      const decisions = core.restore(
        {
          hosts: [...hosts.values()].map(({ facts }) => facts),
          tasks: tasks.values(),
          holders: holders.values(),
        },
        nowMs,
      );
      for (const host of core.hosts()) {
        const message = hosts.get(host.id)?.message;
        if (message !== undefined) records.keepHost(host, { message });
      }
      for (const { id, record } of tasks.values()) {
        const task = core.task(id);
        if (task !== undefined) records.keepTask(task, record);
      }
      return decisions;
    });
    swarm.watch(memory);
    if (found.length > 0) {
      const counts = { hosts: hosts.size, tasks: tasks.size, holders: holders.size, unreadable };
      logger.info(
        { ...counts, tookMs: Math.round(performance.now() - startedMs) },
        'what was known before is known again',
      );
    }
    return memory;
  }

  /** A host announced itself: its records are there by now. */
  hostAnnounced(host: HostView): void {
    const message = this.#options.records.host(host)?.message;
    if (message === undefined) return;
    const identity = JSON.stringify(host.facts);
    if (this.#written.get(host) === identity) return;
    this.#written.set(host, identity);
    this.#store.append(hostRecord(message, host.facts.announceIntervalMs));
  }

  holderCame(peer: PeerView): void {
    const { task } = peer;
    // Many hold the same task: a journal says once what it is.
    const { generation } = this.#store;
    const { size, isPrivate } = task;
    const told = this.#told.get(task);
    if (told?.generation !== generation || told.isPrivate !== isPrivate || !isSameSize(told.size, size)) {
      this.#told.set(task, { generation, size, isPrivate });
      this.#store.append(this.#task(task));
    }
    this.#store.append(holderRecordOf(peer));
  }

  holderLeft({ id }: PeerView): void {
    this.#store.append(holderLeftRecord(id));
  }

  hostLeft({ id }: HostView): void {
    this.#store.append(hostLeftRecord(id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  *#current(): Generator<RecordContent> {
    const { swarm, records } = this.#options;
    for (const host of swarm.hosts()) {
      const message = records.host(host)?.message;
      if (message !== undefined) yield hostRecord(message, host.facts.announceIntervalMs);
    }
    const told = new Set<string>();
    for (const peer of swarm.peers()) {
      if (peer.state !== 'Succeeded' || peer.range !== undefined) continue;
      const { task } = peer;
      if (!told.has(task.id)) yield this.#task(task);
      told.add(task.id);
      yield holderRecordOf(peer);
    }
  }

  #task(task: TaskView): string {
    const { url = '', digest, tag, application, filteredQueryParams = [] } = this.#options.records.task(task) ?? {};
    const { id, size, isPrivate } = task;
    return taskRecord({ id, size, isPrivate, record: { url, digest, tag, application, filteredQueryParams } });
  }
}

const holderRecordOf = ({ id: peerId, host, task, priority, concurrentPieceCount }: PeerView): string =>
  holderRecord({ peerId, hostId: host.id, taskId: task.id, priority, concurrentPieceCount });

/** What was said of a task, and in which journal. */
interface Told {
  readonly generation: number;
  readonly size: TaskSize;
  readonly isPrivate: boolean;
}

const isSameSize = (a: TaskSize, b: TaskSize): boolean =>
  a === b || (a.contentLength === b.contentLength && a.pieceLength === b.pieceLength && a.pieceCount === b.pieceCount);
