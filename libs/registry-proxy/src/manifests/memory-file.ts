import { readFile, stat } from 'node:fs/promises';
import { isImageDigest, isRepository, isTag } from '@d7y/oci';
import { replaceFile } from '@d7y/service-kit';
import { z } from 'zod';

/** How long changes are gathered before they are written. */
const SAVE_DELAY_MS = 1_000;
/** A file longer than this was not written by us. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_ENTRIES = 20_000;

const seenAtMs = z.number().int().nonnegative();
const upstream = z.string().regex(/^https?:\/\/[^\s/]{1,300}$/);
const challenge = z.string().max(8192).optional();
const schema = z.object({
  version: z.literal(1),
  tags: z
    .array(
      z.object({
        registry: upstream,
        repository: z.string().refine(isRepository),
        tag: z.string().refine(isTag),
        accept: z.string().min(1).max(2048),
        digest: z.string().refine(isImageDigest),
        mediaType: z.string().min(1).max(256),
        size: z.number().int().nonnegative(),
        seenAtMs,
      }),
    )
    .max(MAX_ENTRIES),
  repositories: z
    .array(
      z.object({
        upstream,
        scope: z.string().min(1).max(4096),
        seenAtMs,
        record: z.discriminatedUnion('state', [
          z.object({ state: z.literal('public') }),
          z
            .object({ state: z.literal('private'), challenge })
            .transform(({ state, challenge }) => ({ state, challenge })),
        ]),
      }),
    )
    .max(MAX_ENTRIES),
  registries: z.array(z.object({ upstream, seenAtMs, challenge })).max(MAX_ENTRIES),
  callers: z
    .object({
      /** 32 bytes. */
      key: z.string().regex(/^[\w+/]{43}=$/),
      accepted: z.array(z.object({ name: z.string().regex(/^[\w+/]{43}=$/), seenAtMs })).max(MAX_ENTRIES),
    })
    .optional(),
});

/** What is kept of registries across restarts. Of callers there are names only, and what names them is no part of them. */
export type Remembered = Omit<z.output<typeof schema>, 'version'>;

interface MemoryFileLogger {
  warn(fields: object, message: string): void;
}

/**
 * One small file, replaced as a whole a moment after something changed. Owner of the file. A damaged file is an empty one, and a crash
 * loses the last moment.
 */
export class MemoryFile implements AsyncDisposable {
  readonly #path: string;
  readonly #logger: MemoryFileLogger;
  #contents: () => Remembered = () => ({ tags: [], repositories: [], registries: [] });
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(path: string, logger: MemoryFileLogger) {
    this.#path = path;
    this.#logger = logger;
  }

  /** @returns undefined when there is none that can be read */
  async load(): Promise<Remembered | undefined> {
    try {
      if ((await stat(this.#path)).size > MAX_FILE_BYTES) throw new Error('it is too long');
      return schema.parse(JSON.parse(await readFile(this.#path, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#logger.warn({ err: error, path: this.#path }, 'what was remembered of registries is unreadable');
      return undefined;
    }
  }

  /** From now on this is what is saved. */
  holds(contents: () => Remembered): void {
    this.#contents = contents;
  }

  readonly changed = (): void => {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#save();
    }, SAVE_DELAY_MS).unref();
  };

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#save();
    }
    await this.#saving;
  }

  #save(): void {
    this.#saving = this.#saving.then(async () => {
      try {
        const text = JSON.stringify({ version: 1, ...this.#contents() });
        await replaceFile(this.#path, text, { mode: 0o600, flush: true });
      } catch (error) {
        this.#logger.warn({ err: error, path: this.#path }, 'registries cannot be remembered on disk');
      }
    });
  }
}
