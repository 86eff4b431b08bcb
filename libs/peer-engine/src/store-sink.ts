import type { PieceSink, SinkFile } from '@d7y/peer-protocol';
import type { StoredTask } from './ports/task-store.ts';

/**
 * Where the pieces of a task go: its store.
 * @param onFailure told of every failure of the store, of which no sender is to blame, before it is thrown
 */
export function storeSinkOf(stored: StoredTask, onFailure: (error: unknown) => void): PieceSink {
  const orTell = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      onFailure(error);
      throw error;
    }
  };
  const write: PieceSink['write'] = (position, bytes) => orTell(() => stored.write(position, bytes));
  const open = stored.openFile?.bind(stored);
  if (open === undefined) return { write };
  const openFile = async (): Promise<SinkFile> => {
    const file = await orTell(open);
    return {
      fd: file.fd,
      wrote: () => undefined,
      recover: (error) => orTell(() => file.recover(error)),
      [Symbol.dispose]: () => file[Symbol.dispose](),
    };
  };
  return { write, openFile };
}
