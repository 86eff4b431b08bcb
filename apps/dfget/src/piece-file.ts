import { randomBytes } from 'node:crypto';
import { link, open, rename, unlink, type FileHandle } from 'node:fs/promises';
import * as path from 'node:path';
import { createContentHash, type ContentHash } from './content-hash.ts';
import { DownloadError } from './errors.ts';

const READ_BACK_BYTES = 1024 * 1024;
/** What file systems without hard links answer. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * A file that is put together from pieces in any order. It grows beside its destination under another name, which it
 * takes only when it is complete; disposed before that, it leaves nothing behind. Hashes what comes in order as it comes.
 */
export class PieceFile implements AsyncDisposable {
  readonly #destination: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #hash: ContentHash | undefined;
  /** Ends of the pieces that lie past the hashed part, by their start. */
  readonly #ahead = new Map<number, number>();
  #hashedBytes = 0;
  #isOpen = true;
  #isKept = false;

  private constructor(destination: string, temporary: string, handle: FileHandle, digest: string | undefined) {
    this.#destination = destination;
    this.#temporary = temporary;
    this.#handle = handle;
    this.#hash = digest === undefined ? undefined : createContentHash(digest);
  }

  /** @param digest what the content must hash to. @throws what the file system throws */
  static async create(destination: string, digest: string | undefined): Promise<PieceFile> {
    const name = `.${path.basename(destination).slice(0, 200)}.${randomBytes(6).toString('hex')}.dfget`;
    const temporary = path.join(path.dirname(destination), name);
    return new PieceFile(destination, temporary, await open(temporary, 'wx+', 0o644), digest);
  }

  /** Writes one piece; each byte must come once. */
  async write(position: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, position + at);
      at += bytesWritten;
    }
    if (this.#hash === undefined || bytes.length === 0) return;
    if (position !== this.#hashedBytes) {
      this.#ahead.set(position, position + bytes.length);
      return;
    }
    this.#hash.update(bytes);
    this.#hashedBytes += bytes.length;
    await this.#hashAhead(this.#hash);
  }

  /**
   * Declares the content complete, which gives the file its name.
   * @param overwrite replaces what is there; otherwise that stays and this fails
   * @throws {DownloadError} the content is not what the digest says, or something took the name meanwhile
   */
  async commit({ overwrite }: { overwrite: boolean }): Promise<void> {
    const actual = this.#hash?.encoded();
    if (actual !== this.#hash?.expected) {
      throw new DownloadError(`the content hashes to ${actual ?? ''}, not to ${this.#hash?.expected ?? ''}`, {
        remedy: 'check the digest; if it is right, the origin has other content',
      });
    }
    await this.#close();
    if (overwrite) await rename(this.#temporary, this.#destination);
    else await this.#takeFreeName();
    this.#isKept = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    if (!this.#isKept) await unlink(this.#temporary).catch(() => undefined);
  }

  async #takeFreeName(): Promise<void> {
    try {
      await link(this.#temporary, this.#destination); // unlike a rename it never replaces a file
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') {
        throw new DownloadError(`${this.#destination} has come into being meanwhile`, {
          remedy: 'remove it, or allow it with --overwrite',
          cause: error,
        });
      }
      if (code === undefined || !NO_LINKS.has(code)) throw error;
      await rename(this.#temporary, this.#destination);
      return;
    }
    await unlink(this.#temporary);
  }

  /** Pieces that came early are read back, while they are still in the page cache. */
  async #hashAhead(hash: ContentHash): Promise<void> {
    for (let end = this.#ahead.get(this.#hashedBytes); end !== undefined; end = this.#ahead.get(this.#hashedBytes)) {
      this.#ahead.delete(this.#hashedBytes);
      const buffer = Buffer.allocUnsafe(Math.min(READ_BACK_BYTES, end - this.#hashedBytes));
      while (this.#hashedBytes < end) {
        const wanted = Math.min(buffer.length, end - this.#hashedBytes);
        const { bytesRead } = await this.#handle.read(buffer, 0, wanted, this.#hashedBytes);
        if (bytesRead === 0) throw new DownloadError(`${this.#temporary} became shorter while it was written`);
        hash.update(buffer.subarray(0, bytesRead));
        this.#hashedBytes += bytesRead;
      }
    }
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#handle.close();
  }
}
