import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@d7y/service-kit';
import type { PieceStore } from './piece-store.ts';
import type { PieceStoreOptions } from './open-piece-store.ts';
import { openPieceStore } from './open-piece-store.ts';

/** A directory that goes with the test. */
export async function scratchDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'piece-store-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Keeps what was logged, parsed. */
export class LogLines {
  readonly lines: Record<string, unknown>[] = [];
  readonly logger = createLogger({
    name: 'test',
    level: 'debug',
    stream: { write: (line: string) => void this.lines.push(JSON.parse(line) as Record<string, unknown>) },
  });

  /** Messages only. */
  get messages(): unknown[] {
    return this.lines.map(({ msg }) => msg);
  }
}

/** A store on 1 GB of disk that is never measured, keeping what it finds. */
export function openTestStore(dir: string, options: Partial<PieceStoreOptions> = {}): Promise<PieceStore> {
  return openPieceStore({
    dir,
    keep: true,
    logger: new LogLines().logger,
    compareMs: 60_000,
    measureDisk: () => Promise.resolve({ availableBytes: 1e9, totalBytes: 1e9 }),
    ...options,
  });
}
