import { stat } from 'node:fs/promises';
import type { Logger } from '../observe/logger.ts';
import { readTlsFiles } from './tls-files.ts';

/** Paths of the PEM files by which a process proves who it is, and knows others. */
export interface TlsIdentityFiles {
  /** Certificates that sign those of others. Without them nobody is verified: for servers that everybody may call. */
  readonly caCert?: string | undefined;
  readonly cert: string;
  readonly key: string;
}

/** The content of the files; `ca` is empty when no file was named. */
export interface TlsMaterial {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface TlsIdentityOptions {
  /** Configuration key of the section with the files, for messages: `upload.server`. */
  readonly section: string;
  readonly logger: Logger;
  /** How often the files are looked at. */
  readonly checkIntervalMs?: number;
}

const CHECK_INTERVAL_MS = 60_000;

/**
 * The certificate of a process, its key, and whom it trusts, read from files and read again when those change: certificates that are renewed
 * need no restart. Files that have become unusable leave what was read before in force.
 */
export class TlsIdentity implements Disposable {
  readonly #files: TlsIdentityFiles;
  readonly #options: TlsIdentityOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #current: TlsMaterial;
  #seen: string | undefined;

  /** @throws {StartError} which names key and file */
  constructor(files: TlsIdentityFiles, options: TlsIdentityOptions) {
    this.#files = files;
    this.#options = options;
    this.#current = this.#read();
    this.#timer = setInterval(() => void this.check(), options.checkIntervalMs ?? CHECK_INTERVAL_MS);
    this.#timer.unref();
    void this.#fingerprint().then((seen) => (this.#seen ??= seen));
  }

  /** False for one that has no certificates by which to know others: as a server it asks clients for none. */
  get verifiesOthers(): boolean {
    return this.#files.caCert !== undefined;
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  /** Calls the listener with what was read anew. */
  onChange(listener: (material: TlsMaterial) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Reads the files again if they have changed. Never rejects. */
  async check(): Promise<void> {
    const { section, logger } = this.#options;
    const seen = await this.#fingerprint();
    if (seen === this.#seen) return;
    try {
      this.#current = this.#read();
    } catch (error) {
      // Perhaps only some of them are written yet: looked at again next time.
      logger.warn({ err: error, section }, 'certificates have changed and cannot be used; those read before stay');
      return;
    }
    this.#seen = seen;
    logger.info({ section }, 'certificates were read anew');
    for (const listener of this.#listeners) listener(this.#current);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  #read(): TlsMaterial {
    const { caCert, cert, key } = this.#files;
    const read = readTlsFiles({ cert, key, ca: caCert, requestCert: caCert !== undefined }, this.#options.section);
    return { ca: read.ca ?? Buffer.alloc(0), cert: read.cert, key: read.key };
  }

  async #fingerprint(): Promise<string> {
    const { caCert, cert, key } = this.#files;
    const stats = await Promise.all(
      [caCert, cert, key]
        .filter((path) => path !== undefined)
        .map((path) =>
          stat(path).then(
            ({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`,
            () => 'missing',
          ),
        ),
    );
    return stats.join('|');
  }
}
