import { clone } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type { TaskRecord } from './records.ts';

/** Header names, lower-case, that carry a credential … */
const SECRET_HEADERS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
/** … or whose name says that they do. */
const SECRET_NAME = /auth|token|secret|password|credential|signature|api-?key|session/i;

/** Of one registration, which is kept for as long as its peer. */
export const MAX_DOWNLOAD_LENGTH = 64 * 1024;

/** Whether a request header may be told to another peer. */
export function isPublicHeader(name: string): boolean {
  return !SECRET_HEADERS.has(name.toLowerCase()) && !SECRET_NAME.test(name);
}

/** A URL without what may be secret in it: user, password and query. Not a URL: nothing. */
export function publicUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null) return '';
  url.username = url.password = url.search = url.hash = '';
  return url.href;
}

/** The part of a registration that describes the task to others. */
export function toTaskRecord(download: common.Download): TaskRecord {
  return {
    url: publicUrl(download.url),
    digest: download.digest,
    tag: download.tag,
    application: download.application,
    filteredQueryParams: download.filteredQueryParams,
  };
}

/**
 * What a seed is asked to download on behalf of a peer: the same content, for the swarm instead of a file, and without
 * the credentials of the peer's user.
 */
export function toSeedDownload(registered: common.Download): common.Download {
  const download = clone(common.DownloadSchema, registered);
  download.needBackToSource = true;
  download.metadataOnly = false;
  download.overwrite = false;
  download.forceHardLink = false;
  delete download.outputPath;
  delete download.objectStorage;
  delete download.hdfs;
  if (download.huggingFace !== undefined) delete download.huggingFace.token;
  if (download.modelScope !== undefined) delete download.modelScope.token;
  download.requestHeader = Object.fromEntries(
    Object.entries(download.requestHeader).filter(([name]) => isPublicHeader(name)),
  );
  return download;
}
