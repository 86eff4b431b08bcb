import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** A file that moves: handles stay valid, new ones are opened where it is now. */
export interface CachedFile {
  readonly path: string;
}

interface Entry {
  readonly handle: Promise<FileHandle>;
  users: number;
  /** Called when the last user has left; set once the entry is on its way out. */
  onIdle: (() => void) | undefined;
}

/**
 * Open file handles, the least recently used closed first. Owner of every handle it opens; a handle is never closed while
 * somebody uses it, so more than `capacity` are open when more than that are in use.
 */
export class HandleCache implements AsyncDisposable {
  readonly #capacity: number;
  readonly #entries = new Map<CachedFile, Entry>();
  readonly #closing = new Set<Promise<void>>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Handles open and not being closed. */
  get size(): number {
    return this.#entries.size;
  }

  /** Runs `work` with an open handle of the file, for reading and writing. */
  async use<T>(file: CachedFile, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(file) ?? { handle: open(file.path, 'r+'), users: 0, onIdle: undefined };
    entry.users++;
    this.#entries.delete(file);
    this.#entries.set(file, entry);
    try {
      if (this.#entries.size > this.#capacity) this.#closeIdle();
      return await work(await entry.handle.catch((error: unknown) => this.#failed(file, entry, error)));
    } finally {
      entry.users--;
      if (entry.users === 0) entry.onIdle?.();
      if (this.#entries.size > this.#capacity) this.#closeIdle();
    }
  }

  /** Closes the file's handle as soon as nobody uses it; resolves then. */
  async close(file: CachedFile): Promise<void> {
    const entry = this.#entries.get(file);
    if (entry === undefined) return;
    this.#entries.delete(file);
    if (entry.users > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      entry.onIdle = resolve;
      await promise;
    }
    await entry.handle.then(
      (handle) => handle.close(),
      () => undefined,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((file) => this.close(file)));
    await Promise.all(this.#closing);
  }

  #closeIdle(): void {
    for (const [file, entry] of this.#entries) {
      if (this.#entries.size <= this.#capacity) return;
      if (entry.users > 0) continue;
      // A failed close loses nothing that was promised: writes have resolved, and only a clean end syncs.
      const closing = this.close(file)
        .catch(() => undefined)
        .finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }

  #failed(file: CachedFile, entry: Entry, error: unknown): never {
    if (this.#entries.get(file) === entry) this.#entries.delete(file);
    throw error;
  }
}
