import { readSync } from 'node:fs';

/** Bytes read at once; between two reads others get their turn. */
const READ_BYTES = 512 * 1024;
/** Of reads that are over: a new one for each would be garbage that V8 looks for late. */
let spare: Buffer | undefined;

/**
 * Reads a file from `start` to `end`, which is not included. Each run is valid until the next one is asked for.
 * @param isWanted asked before each read; false ends it
 * @throws what reading throws; an error of the code CONTENT_LOST when the file is shorter
 */
export async function* readInTurns(
  fd: number,
  start: number,
  end: number,
  isWanted = () => true,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = spare ?? Buffer.allocUnsafeSlow(READ_BYTES);
  spare = undefined;
  try {
    for (let position = start; position < end && isWanted();) {
      const read = readSync(fd, buffer, 0, Math.min(buffer.length, end - position), position);
      if (read === 0) throw Object.assign(new Error(`the file ends at ${position}`), { code: 'CONTENT_LOST' });
      position += read;
      yield buffer.subarray(0, read);
      await new Promise(setImmediate);
    }
  } finally {
    spare = buffer;
  }
}
