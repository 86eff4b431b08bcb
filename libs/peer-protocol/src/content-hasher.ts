/** Hashes contents in order while their pieces arrive, away from the main thread. */
export interface ContentHasher {
  /**
   * @param taskId pieces of this task that come through the same client are hashed as they pass
   * @param algorithm as Node names it
   * @param open opens the content; disposed when the hash is
   */
  hash(
    taskId: string,
    algorithm: string,
    open: () => Promise<{ readonly fd: number } & Disposable>,
  ): RunningContentHash;
  /**
   * Reads back a part of a content, `end` not included, and hashes it.
   * @param algorithm as Node names it, or `crc32`
   * @param fd open for reading until the promise settles @returns hex; a decimal number where it is `crc32`
   * @throws what reading throws
   */
  hashPart(
    taskId: string,
    algorithm: string,
    fd: number,
    range: { readonly start: number; readonly end: number },
  ): Promise<string>;
}

/** A hash of one content that follows its finished prefix. */
export interface RunningContentHash extends AsyncDisposable {
  /** Everything before `end` is in the file for good. Resolves when it is hashed. */
  advance(end: number): Promise<void>;
  /** Bytes from `position` on will be other ones than those that were received. */
  forget(position: number): void;
  /** `algorithm:hex` of everything before `end`, where the content ends and all of which is there; the hash starts anew. */
  digest(end: number): Promise<string>;
}
