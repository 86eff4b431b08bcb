import { lstat, stat } from 'node:fs/promises';
import * as path from 'node:path';
import type { Secret } from '@d7y/service-kit';
import { ValidationError } from '@d7y/cli-kit';

/** What the user asked for, read and checked as far as that is possible without looking at disk or daemon. */
export interface DownloadOptions {
  readonly url: URL;
  /** Absolute. */
  readonly output: string;
  readonly overwrite: boolean;
  /** The daemon links the output to its cache; otherwise dfget writes it from bytes that come over the socket. */
  readonly forceHardLink: boolean;
  readonly timeoutMs: number;
  /** `algorithm:encoded` */
  readonly digest: string | undefined;
  /** 0 – 6. */
  readonly priority: number;
  /** Bytes. */
  readonly pieceLength: number | undefined;
  readonly application: string;
  readonly tag: string;
  /** For the origin, by lower-case name; any of them may be a secret. */
  readonly headers: ReadonlyMap<string, Secret>;
  /** Of authorities by which the origin may prove itself, beside those that the daemon trusts; DER. */
  readonly certificateChain: readonly Uint8Array[];
  readonly filteredQueryParams: readonly string[];
  readonly disableBackToSource: boolean;
  readonly contentForCalculatingTaskId: string | undefined;
  readonly storage: StorageOptions;
  readonly hdfsDelegationToken: Secret | undefined;
  readonly huggingFace: HubOptions;
  readonly modelScope: HubOptions;
}

/** Access to an object store. */
export interface StorageOptions {
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  readonly accessKeyId: Secret | undefined;
  readonly accessKeySecret: Secret | undefined;
  readonly securityToken: Secret | undefined;
  readonly sessionToken: Secret | undefined;
  readonly credentialPath: string | undefined;
  readonly insecureSkipVerify: boolean;
  readonly predefinedAcl: string;
}

/** Access to a model hub. */
export interface HubOptions {
  readonly revision: string;
  readonly token: Secret | undefined;
  readonly baseUrl: string | undefined;
}

/**
 * Looks whether the output can be written before anything is fetched.
 * @throws {ValidationError}
 */
export async function checkOutput({ url, output, overwrite }: DownloadOptions): Promise<void> {
  if (url.pathname.endsWith('/')) {
    throw new ValidationError(`${url.protocol}// URLs that end in "/" name a directory, which cannot be downloaded`, {
      remedy: 'name a file',
    });
  }
  const directory = path.dirname(output);
  const parent = await stat(directory).catch(() => undefined);
  if (parent?.isDirectory() !== true) {
    throw new ValidationError(`${directory} is not a directory`, { remedy: 'create it, or choose another output' });
  }
  const existing = await lstat(output).catch(() => undefined);
  if (existing?.isDirectory() === true) {
    throw new ValidationError(`${output} is a directory`, { remedy: 'name the file to write' });
  }
  if (existing !== undefined && !overwrite) {
    throw new ValidationError(`${output} exists already`, { remedy: 'remove it, or allow it with --overwrite' });
  }
}
