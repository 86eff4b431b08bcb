import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { common, dfdaemon } from '@d7y/api';
import { isChainWithinLimits, linkedSignal } from '@d7y/service-kit';
import type { Credentials, OriginAccess, TaskIdentity } from './request.ts';
import type { PreheatHost } from './targets.ts';

/** To the upload service of a daemon. */
export type Connect<Host = PreheatHost> = (host: Host) => Transport;

/** What a download has beside its URL. */
export interface DownloadExtras {
  readonly priority: common.Priority;
  readonly outputPath?: string | undefined;
  readonly objectStorage?: common.ObjectStorage | undefined;
  readonly hdfs?: common.HDFS | undefined;
}

/**
 * A daemon's part in the preheat of a file.
 * `fetcher`: may ask the origin, and gets the credentials for it. `follower`: takes it from the swarm, or from the origin as anybody may.
 * `keeper`: takes private content from the swarm, where alone it can come from without credentials.
 */
export type PreheatRole =
  { readonly kind: 'fetcher'; readonly credentials: Credentials } | { readonly kind: 'follower' | 'keeper' };

const STAT_TIMEOUT_MS = 10_000;

/** What a daemon is asked for one file. */
export function toDownload(
  url: string,
  options: {
    readonly identity: TaskIdentity;
    readonly access: OriginAccess;
    readonly extras: DownloadExtras;
    readonly byDigest: boolean;
    readonly remoteIp: string;
  },
  role: PreheatRole,
): common.Download {
  const { identity, access, extras, byDigest, remoteIp } = options;
  const { tag, application, pieceLength } = identity;
  const { outputPath, objectStorage, hdfs } = extras;
  const isFetcher = role.kind === 'fetcher';
  const isKeeper = role.kind === 'keeper';
  return create(common.DownloadSchema, {
    url: isKeeper ? withoutSignature(url, identity) : url,
    type: common.TaskType.STANDARD,
    // So a peer says that its task is private, and private content is never known by its digest alone.
    priority: isKeeper ? common.Priority.LEVEL3 : extras.priority,
    enableTaskIdBasedBlobDigest: byDigest && !isKeeper,
    disableBackToSource: isKeeper,
    ...(tag === undefined ? {} : { tag }),
    ...(application === undefined ? {} : { application }),
    ...(pieceLength === undefined ? {} : { pieceLength }),
    filteredQueryParams: [...identity.filteredQueryParams],
    requestHeader: { ...access.headers, ...(isFetcher ? revealed(role.credentials) : {}) },
    // Daemons that were not told of the registry believe it for this download. More than they take they have to be told themselves.
    certificateChain: isChainWithinLimits(access.certificateChain) ? [...access.certificateChain] : [],
    remoteIp,
    ...(outputPath === undefined ? {} : { outputPath }),
    // These are credentials, too.
    ...(objectStorage === undefined || !isFetcher ? {} : { objectStorage }),
    ...(hdfs === undefined || !isFetcher ? {} : { hdfs }),
  });
}

/** A URL without the parameters that do not name content: those that sign it are as good as a password, and no part of the task's id. */
export function withoutSignature(text: string, { filteredQueryParams }: Pick<TaskIdentity, 'filteredQueryParams'>) {
  const url = URL.parse(text);
  if (url === null || url.search === '') return text;
  for (const name of filteredQueryParams) url.searchParams.delete(name);
  return url.href;
}

/**
 * Has a daemon download, until it has everything.
 * @param onStarted it has found the content, and told its scheduler that it fetches it
 * @returns the id of the task that it was for the daemon; undefined if that said nothing
 * @throws {ConnectError} what the daemon answered @throws the reason of the signal
 */
export async function downloadOn(
  transport: Transport,
  download: common.Download,
  { signal, onStarted = () => undefined }: { signal: AbortSignal; onStarted?: (() => void) | undefined },
): Promise<string | undefined> {
  using left = linkedSignal(signal);
  let taskId: string | undefined;
  try {
    const reports = createClient(dfdaemon.DfdaemonUpload, transport).downloadTask(
      { download },
      { signal: left.signal },
    );
    for await (const report of reports) {
      taskId ??= report.taskId;
      if (report.response.case === 'downloadTaskStartedResponse') onStarted();
    }
    return taskId;
  } finally {
    left.abort();
  }
}

/** Whether a daemon holds a task whole, under any of its ids. Undefined: the daemon did not say. */
export async function isHeldBy(
  transport: Transport,
  taskIds: readonly string[],
  { signal }: { signal: AbortSignal },
): Promise<boolean | undefined> {
  const client = createClient(dfdaemon.DfdaemonUpload, transport);
  for (const taskId of taskIds) {
    try {
      const { finishedAt } = await client.statLocalTask({ taskId }, { signal, timeoutMs: STAT_TIMEOUT_MS });
      if (finishedAt !== undefined) return true;
    } catch (error) {
      if (ConnectError.from(error).code !== Code.NotFound) return undefined;
    }
  }
  return false;
}

/** The files below a directory, as a daemon lists them. @throws {ConnectError} */
export async function listFiles(
  transport: Transport,
  url: string,
  taskId: string,
  {
    access,
    extras,
  }: { readonly access: OriginAccess; readonly extras: Pick<DownloadExtras, 'objectStorage' | 'hdfs'> },
  { signal }: { signal: AbortSignal },
): Promise<readonly string[]> {
  const { objectStorage, hdfs } = extras;
  const { entries } = await createClient(dfdaemon.DfdaemonUpload, transport).listTaskEntries(
    {
      url,
      taskId,
      requestHeader: { ...access.headers, ...revealed(access.credentials) },
      certificateChain: [...access.certificateChain],
      ...(objectStorage === undefined ? {} : { objectStorage }),
      ...(hdfs === undefined ? {} : { hdfs }),
    },
    { signal, timeoutMs: 60_000 },
  );
  return entries.filter(({ isDir }) => !isDir).map((entry) => entry.url);
}

const revealed = (credentials: Credentials): Record<string, string> =>
  Object.fromEntries(Object.entries(credentials).map(([name, secret]) => [name, secret.reveal()]));
