import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MEMORY_DIR } from './measurement.ts';

const CHUNK = Buffer.alloc(4 * 2 ** 20);

/**
 * Fills as much memory with a file as a transfer is going to, and gives it free again: to be called right before. A virtual machine's host takes
 * free memory back within seconds, and each page costs ten times as much when it is written to for the first time after that (3.2 instead of
 * 0.35 s of processor time for a GiB): a transfer would be as fast as what happened to run before it left.
 */
export async function warmMemory(bytes: number): Promise<void> {
  const path = join(MEMORY_DIR, `d7y-bench-warm-${process.pid}`);
  try {
    await using file = await open(path, 'w');
    for (let written = 0; written < bytes; written += CHUNK.length) await file.write(CHUNK);
  } finally {
    await rm(path, { force: true });
  }
}
