import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { common, dfdaemon } from '@d7y/api';
import type { HostView } from '@d7y/swarm';
import type { Secret } from '@d7y/service-kit';
import { linkedSignal } from '@d7y/service-kit';
import type { DownloadExtras, OriginAccess, TaskIdentity } from './preheat-request.ts';

/** To the upload service of a daemon. */
export type Connect = (host: HostView) => Transport;

const STAT_TIMEOUT_MS = 10_000;

/** What daemons are asked for one file. @param credentials only for the one daemon that fetches it from the origin; undefined for all others */
export function toDownload(
  url: string,
  options: {
    readonly identity: TaskIdentity;
    readonly access: OriginAccess;
    readonly extras: DownloadExtras;
    readonly byDigest: boolean;
    readonly remoteIp: string;
  },
  credentials: Readonly<Record<string, Secret>> | undefined,
): common.Download {
  const { identity, access, extras, byDigest, remoteIp } = options;
  const { tag, application, pieceLength } = identity;
  const { outputPath, objectStorage, hdfs } = extras;
  return create(common.DownloadSchema, {
    url,
    type: common.TaskType.STANDARD,
    priority: extras.priority,
    ...(tag === undefined ? {} : { tag }),
    ...(application === undefined ? {} : { application }),
    ...(pieceLength === undefined ? {} : { pieceLength }),
    filteredQueryParams: [...identity.filteredQueryParams],
    requestHeader: { ...access.headers, ...revealed(credentials ?? {}) },
    certificateChain: [...access.certificateChain],
    enableTaskIdBasedBlobDigest: byDigest,
    remoteIp,
    ...(outputPath === undefined ? {} : { outputPath }),
    // These are credentials, too.
    ...(objectStorage === undefined || credentials === undefined ? {} : { objectStorage }),
    ...(hdfs === undefined || credentials === undefined ? {} : { hdfs }),
  });
}

/**
 * Has a daemon download, until it has everything.
 * @param onStarted it has found the content, and told its scheduler that it fetches it
 * @throws {ConnectError} what the daemon answered @throws the reason of the signal
 */
export async function downloadOn(
  transport: Transport,
  download: common.Download,
  { signal, onStarted = () => undefined }: { signal: AbortSignal; onStarted?: () => void },
): Promise<void> {
  using left = linkedSignal(signal);
  try {
    const reports = createClient(dfdaemon.DfdaemonUpload, transport).downloadTask(
      { download },
      { signal: left.signal },
    );
    for await (const { response } of reports) if (response.case === 'downloadTaskStartedResponse') onStarted();
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

const revealed = (credentials: Readonly<Record<string, Secret>>): Record<string, string> =>
  Object.fromEntries(Object.entries(credentials).map(([name, secret]) => [name, secret.reveal()]));
