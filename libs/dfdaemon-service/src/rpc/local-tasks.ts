import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { type common, dfdaemon } from '@d7y/api';
import type { Engine, StoredTask, TaskStore } from '@d7y/peer-engine';
import type { SchedulerClient } from '@d7y/peer-protocol';
import { DfError } from '@d7y/piece';
import type { Uploads } from '../upload/uploads.ts';

/** There is no such task here, or none that a scheduler knows. */
export class TaskNotFoundError extends DfError {
  override readonly name = 'TaskNotFoundError';
  readonly code = 'TASK_NOT_FOUND';
  readonly retryable = false;
  constructor(taskId: string, where: string) {
    super(`task ${taskId} is not known ${where}`);
  }
}

export interface TaskAdminPorts {
  readonly store: TaskStore;
  readonly engine: Pick<Engine, 'delete'>;
  readonly uploads: Pick<Uploads, 'countsOf' | 'forget'>;
  readonly schedulers: { clientsFor(taskId: string): readonly SchedulerClient[] };
}

/** What both services say of tasks, and do to them, beside downloading. */
export class TaskAdmin {
  readonly #ports: TaskAdminPorts;

  constructor(ports: TaskAdminPorts) {
    this.#ports = ports;
  }

  /** @throws {TaskNotFoundError} */
  statLocal(taskId: string): dfdaemon.StatLocalTaskResponse {
    const stored = this.#ports.store.get(taskId);
    if (stored === undefined) throw new TaskNotFoundError(taskId, 'on this host');
    return this.#message(stored);
  }

  listLocal(): dfdaemon.ListLocalTasksResponse {
    const tasks = [...this.#ports.store.list()].map((stored) => this.#message(stored));
    return create(dfdaemon.ListLocalTasksResponseSchema, { tasks });
  }

  /** Asks the task's scheduler, and the next one while none answers. @throws {TaskNotFoundError} */
  async stat(taskId: string, { signal }: { signal: AbortSignal }): Promise<common.Task> {
    const clients = this.#ports.schedulers.clientsFor(taskId);
    if (clients.length === 0) throw new ConnectError('no scheduler can be reached', Code.Unavailable);
    let failure: unknown;
    for (const client of clients) {
      try {
        const task = await client.statTask(taskId, { signal });
        if (task !== undefined) return task;
        failure = undefined;
        break;
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
      }
    }
    throw failure === undefined
      ? new TaskNotFoundError(taskId, 'to its scheduler')
      : new ConnectError('no scheduler answered', Code.Unavailable, undefined, undefined, failure);
  }

  async deleteLocal(taskId: string): Promise<void> {
    await this.#ports.engine.delete(taskId);
    this.#ports.uploads.forget(taskId);
  }

  /** Here, and in the schedulers' lists of who has it. Those that cannot be told forget it with time. */
  async delete(taskId: string, { signal }: { signal: AbortSignal }): Promise<void> {
    await this.deleteLocal(taskId);
    await Promise.allSettled(
      this.#ports.schedulers.clientsFor(taskId).map((client) => client.deleteTask(taskId, { signal })),
    );
  }

  #message(stored: StoredTask): dfdaemon.StatLocalTaskResponse {
    const { uploading, uploaded } = this.#ports.uploads.countsOf(stored.taskId);
    return create(dfdaemon.StatLocalTaskResponseSchema, {
      taskId: stored.taskId,
      pieceLength: BigInt(stored.layout.pieceLength),
      contentLength: BigInt(stored.layout.contentLength),
      responseHeader: { ...stored.responseHeaders },
      uploadingCount: BigInt(uploading),
      uploadedCount: BigInt(uploaded),
      createdAt: timestampFromMs(Math.round(stored.createdAtMs)),
      updatedAt: timestampFromMs(Math.round(stored.usedAtMs)),
      ...(stored.isComplete ? { finishedAt: timestampFromMs(Math.round(stored.usedAtMs)) } : {}),
    });
  }
}
