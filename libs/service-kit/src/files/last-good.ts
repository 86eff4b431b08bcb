import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';
import type { Logger } from '../observe/logger.ts';
import { replaceFile } from './replace-file.ts';

export interface LastGoodOptions<Value> {
  readonly path: string;
  /** Of the value as it is kept: JSON. */
  readonly schema: z.ZodType<Value>;
  readonly logger: Pick<Logger, 'warn'>;
}

/**
 * The last good answer of somebody who may be gone: kept on disk until there is another, also across restarts. A file that is damaged is
 * none; one that cannot be written leaves the answer in memory.
 */
export class LastGood<Value> {
  readonly #options: LastGoodOptions<Value>;
  #value: Value | undefined;
  #text: string | undefined;

  private constructor(options: LastGoodOptions<Value>, value: Value | undefined) {
    this.#options = options;
    this.#value = value;
    this.#text = value === undefined ? undefined : JSON.stringify(value);
  }

  static async open<Value>(options: LastGoodOptions<Value>): Promise<LastGood<Value>> {
    const { path, schema, logger } = options;
    try {
      return new LastGood(options, schema.parse(JSON.parse(await readFile(path, 'utf8'))));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        logger.warn({ err: error, path }, 'what was kept of the last good answer is unreadable');
      return new LastGood<Value>(options, undefined);
    }
  }

  get value(): Value | undefined {
    return this.#value;
  }

  /** Never rejects. @returns whether the answer is another one than before */
  async keep(value: Value): Promise<boolean> {
    const { path, logger } = this.#options;
    const text = JSON.stringify(value);
    if (text === this.#text) return false;
    this.#value = value;
    this.#text = text;
    try {
      await mkdir(dirname(path), { recursive: true });
      await replaceFile(path, text, { mode: 0o600 });
    } catch (error) {
      logger.warn({ err: error, path }, 'the last good answer cannot be kept on disk');
    }
    return true;
  }
}
