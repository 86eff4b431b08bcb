import { realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { OutputPathError } from './output-file.ts';

/**
 * Where the daemon may write files for others: below these directories, and nowhere else. The daemon often runs as root, and whoever may use
 * its socket must not become root by that. Programs of ours write their own files and need none.
 */
export class OutputRoots {
  readonly #roots: readonly string[];

  /** @param roots absolute paths; none by default */
  constructor(roots: readonly string[]) {
    this.#roots = roots;
  }

  /**
   * The place that a path names once all links on the way are followed.
   * @throws {OutputPathError} it is not below a root, or its directory does not exist
   */
  async resolve(path: string): Promise<string> {
    if (!isAbsolute(path)) throw new OutputPathError(`output path ${path} is not absolute`);
    if (this.#roots.length === 0) {
      throw new OutputPathError(
        'this daemon writes no files for others: have your program write it (dfget --transfer-from-dfdaemon), or name directories in download.outputRoots',
      );
    }
    const directory = await realpath(dirname(path)).catch((error: unknown) => {
      throw new OutputPathError(`output path ${path}: its directory cannot be used`, { cause: error });
    });
    const place = join(directory, basename(path));
    for (const root of this.#roots) {
      const real = await realpath(root).catch(() => undefined);
      if (real !== undefined && isBelow(place, real)) return place;
    }
    throw new OutputPathError(`output path ${path} is below none of download.outputRoots (${this.#roots.join(', ')})`);
  }
}

function isBelow(path: string, root: string): boolean {
  const way = relative(root, path);
  return way !== '' && way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}
