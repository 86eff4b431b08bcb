import { timestampDate, type Timestamp } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import type { dfdaemon } from '@d7y/api';
import { type Daemon, formatBytes } from '@d7y/cli-kit';
import { TaskError } from './errors.ts';
import { table } from './table.ts';

/** A task on this host, for programs. Times are RFC 3339, sizes bytes; null is what has not happened. */
export interface LocalTask {
  readonly id: string;
  readonly contentLength: number;
  readonly pieceLength: number;
  readonly uploading: number;
  readonly uploaded: number;
  readonly createdAt: string | null;
  readonly finishedAt: string | null;
  readonly failedAt: string | null;
  readonly updatedAt: string | null;
}

/** @throws {TaskError} or the reason of the signal */
export async function listTasks({ client }: Daemon, { signal }: { signal: AbortSignal }): Promise<LocalTask[]> {
  const { tasks } = await said('Listing Tasks Failed!', signal, client.listLocalTasks({}, { signal }));
  return tasks.map(toLocalTask);
}

/** @throws {TaskError} or the reason of the signal */
export async function statTask(
  { client }: Daemon,
  taskId: string,
  { signal }: { signal: AbortSignal },
): Promise<LocalTask> {
  return toLocalTask(await said('Stating Failed!', signal, client.statLocalTask({ taskId }, { signal })));
}

/** Here, and in the scheduler's list of who has it. @throws {TaskError} or the reason of the signal */
export async function removeTask(
  { client }: Daemon,
  taskId: string,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  // Removing what is not there succeeds in the daemon; whoever mistyped an id wants to hear of it.
  await statTask({ client } as Daemon, taskId, { signal });
  await said('Removing Task Failed!', signal, client.deleteTask({ taskId }, { signal }));
}

export function tasksText(tasks: readonly LocalTask[]): string {
  const time = (text: string | null): string => (text === null ? '-' : localTime(new Date(text)));
  return table(
    ['ID', 'PIECE LENGTH', 'CONTENT LENGTH', 'CREATED', 'FINISHED', 'FAILED', 'UPDATED'],
    tasks.map((task) => [
      task.id,
      formatBytes(task.pieceLength),
      formatBytes(task.contentLength),
      time(task.createdAt),
      time(task.finishedAt),
      time(task.failedAt),
      time(task.updatedAt),
    ]),
  );
}

function toLocalTask(message: dfdaemon.StatLocalTaskResponse): LocalTask {
  const time = (at: Timestamp | undefined): string | null =>
    at === undefined ? null : timestampDate(at).toISOString();
  return {
    id: message.taskId,
    contentLength: Number(message.contentLength),
    pieceLength: Number(message.pieceLength),
    uploading: Number(message.uploadingCount),
    uploaded: Number(message.uploadedCount),
    createdAt: time(message.createdAt),
    finishedAt: time(message.finishedAt),
    failedAt: time(message.failedAt),
    updatedAt: time(message.updatedAt),
  };
}

async function said<T>(headline: string, signal: AbortSignal, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    signal.throwIfAborted();
    const { code, rawMessage } = ConnectError.from(cause);
    const remedy = code === Code.NotFound ? 'see the ids with: dfctl task ls' : undefined;
    throw new TaskError(headline, rawMessage, { cause, remedy });
  }
}

/** `2026-11-20 23:15:02` where the user is. */
function localTime(date: Date): string {
  const two = (part: number): string => String(part).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}
