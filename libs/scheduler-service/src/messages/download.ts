import { clone, create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import { isSecretHeader } from '@d7y/service-kit';
import type { SeedDownloadOf, TaskRecord } from './records.ts';

/** Of one registration, which is kept for as long as its peer. */
export const MAX_DOWNLOAD_LENGTH = 64 * 1024;

/** A URL without what may be secret in it: user, password and query. Not a URL: nothing. */
export function publicUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null) return '';
  url.username = url.password = url.search = url.hash = '';
  return url.href;
}

/** The part of a registration that describes the task to others. */
export function toTaskRecord({ url, digest, tag, application, filteredQueryParams }: common.Download): TaskRecord {
  return { url: publicUrl(url), digest, tag, application, filteredQueryParams };
}

/**
 * Makes what a seed is asked for a peer of the task from how any peer of it registered. Takes the credentials out of the registration now, not
 * when somebody asks: it is kept for as long as it is the newest of its task.
 */
export function seedDownloadOf(registered: common.Download): SeedDownloadOf {
  registered.requestHeader = publicHeaders(registered.requestHeader);
  return ({ range }) => {
    const download = toSeedDownload(registered);
    if (range === undefined) delete download.range;
    else download.range = create(common.RangeSchema, { start: BigInt(range.start), length: BigInt(range.length) });
    return download;
  };
}

function publicHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name in headers) if (!isSecretHeader(name)) kept[name] = headers[name] ?? '';
  return kept;
}

/**
 * What a seed is asked to download on behalf of a peer: the same content, for the swarm instead of a file, and without
 * the credentials of the peer's user.
 */
function toSeedDownload(registered: common.Download): common.Download {
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
  return download;
}
