import { mkdir } from 'node:fs/promises';
import { describeSystemError, StartError } from '@d7y/service-kit';

/** Says in one line why a server cannot listen. @throws {StartError} */
export async function listening<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const line = describeSystemError(error);
    throw line === undefined ? error : new StartError(line, { cause: error });
  }
}

/** @throws {StartError} */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o755 }).catch((error: unknown) => {
    throw new StartError(describeSystemError(error) ?? `${path}: cannot be made`, { cause: error });
  });
}
