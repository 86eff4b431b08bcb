import { randomUUID } from 'node:crypto';
import { access, link, open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { NoSpaceError } from '@d7y/peer-engine';
import { DfError } from '@d7y/piece';
import { createDigestCheck, type DigestCheck } from './digest-stream.ts';

/** The output cannot be put where the caller wants it. */
export class OutputPathError extends DfError {
  override readonly name = 'OutputPathError';
  readonly code = 'INVALID_ARGUMENT';
  readonly retryable = false;
}

export interface OutputRequest {
  /** Absolute. */
  readonly path: string;
  /** Replace what is there. */
  readonly overwrite: boolean;
  /** `algorithm:encoded` of the whole content. */
  readonly digest: string | undefined;
}

/**
 * A file in the making: written beside its place under another name, and put there by `commit` once it is whole and, where a digest is
 * known, right. Disposed without commit it leaves nothing behind. Content is copied, never linked: whoever edits the file later
 * must not edit what other daemons receive.
 */
export class OutputFile implements AsyncDisposable {
  readonly #request: OutputRequest;
  readonly #temporaryPath: string;
  readonly #handle: FileHandle;
  readonly #check: DigestCheck | undefined;
  #position = 0;
  #isCommitted = false;

  private constructor(
    request: OutputRequest,
    temporaryPath: string,
    handle: FileHandle,
    check: DigestCheck | undefined,
  ) {
    this.#request = request;
    this.#temporaryPath = temporaryPath;
    this.#handle = handle;
    this.#check = check;
  }

  /** @throws {OutputPathError} @throws {DigestFormatError} @throws {UnsupportedDigestError} */
  static async create(request: OutputRequest): Promise<OutputFile> {
    const { path, overwrite } = request;
    if (!isAbsolute(path)) throw new OutputPathError(`output path ${path} is not absolute`);
    const check = request.digest === undefined ? undefined : createDigestCheck(request.digest);
    if (!overwrite && (await exists(path))) throw alreadyThere(path);
    if (await isDirectory(path)) throw new OutputPathError(`output path ${path} is a directory`);
    const temporaryPath = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomUUID().slice(0, 8)}`);
    try {
      return new OutputFile(request, temporaryPath, await open(temporaryPath, 'wx', 0o644), check);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new OutputPathError(`output path ${path} cannot be written: ${code ?? String(error)}`, { cause: error });
    }
  }

  /** Appends bytes. @throws {NoSpaceError} */
  async write(bytes: Uint8Array): Promise<void> {
    this.#check?.update(bytes);
    try {
      for (let written = 0; written < bytes.byteLength;) {
        const { bytesWritten } = await this.#handle.write(bytes, written, bytes.byteLength - written, this.#position);
        written += bytesWritten;
        this.#position += bytesWritten;
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
      throw new NoSpaceError(dirname(this.#request.path), bytes.byteLength, undefined, { cause: error });
    }
  }

  /** Checks the digest and puts the file in its place. @throws {OutputDigestMismatchError} @throws {OutputPathError} */
  async commit(): Promise<void> {
    const { path, overwrite } = this.#request;
    this.#check?.finish();
    await this.#handle.close();
    if (overwrite) await rename(this.#temporaryPath, path);
    else {
      // A link, unlike a rename, does not replace what somebody put there meanwhile.
      await link(this.#temporaryPath, path).catch((error: unknown) => {
        throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? alreadyThere(path) : error;
      });
      await rm(this.#temporaryPath, { force: true });
    }
    this.#isCommitted = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isCommitted) return;
    await this.#handle.close().catch(() => undefined); // closed already when commit failed
    await rm(this.#temporaryPath, { force: true });
  }
}

const alreadyThere = (path: string): OutputPathError =>
  new OutputPathError(`output path ${path} exists; remove it or allow overwriting`);

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
