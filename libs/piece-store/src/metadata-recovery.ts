import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Logger } from '@d7y/service-kit';
import type { LoadedTask, TaskMetadata } from './metadata.ts';
import { SqliteMetadata } from './sqlite-metadata.ts';
import type { SqliteMetadataOptions } from './sqlite-metadata.ts';

const SQLITE_ERROR = 1;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/**
 * Opens the metadata and reads all of it. A database that cannot be read is moved aside, for whoever wants to look at it, and
 * replaced by an empty one.
 */
export function openMetadata(
  options: SqliteMetadataOptions,
  logger: Logger,
): { metadata: TaskMetadata; tasks: LoadedTask[] } {
  try {
    return openAndLoad(options);
  } catch (error) {
    if (!isDamage(error)) throw error;
    const aside = moveAside(options.path);
    logger.error(
      { err: error, dir: options.dir, aside },
      'the metadata is damaged: what can be proved from content alone is kept',
    );
    return openAndLoad(options);
  }
}

function openAndLoad(options: SqliteMetadataOptions): { metadata: TaskMetadata; tasks: LoadedTask[] } {
  const metadata = new SqliteMetadata(options);
  try {
    return { metadata, tasks: metadata.load() };
  } catch (error) {
    metadata.close({ isClean: false });
    throw error;
  }
}

/** A file that is no database, has broken pages, or lacks our tables. */
function isDamage(error: unknown): boolean {
  const errcode = (error as { errcode?: unknown } | null)?.errcode;
  // The low byte is the primary code; the rest tells where SQLite noticed.
  const primary = typeof errcode === 'number' ? errcode & 0xff : undefined;
  return primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB || primary === SQLITE_ERROR;
}

/** Keeps only the latest damaged database: a disk that damages one after the other must not be filled by them. */
function moveAside(path: string): string {
  const aside = join(path, '..', 'damaged');
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside, { recursive: true });
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    if (existsSync(file)) renameSync(file, join(aside, basename(file)));
  }
  return aside;
}
