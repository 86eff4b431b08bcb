import { X509Certificate } from 'node:crypto';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { common, scheduler } from '@d7y/api';
import { DEFAULT_FILTERED_QUERY_PARAMS, DfError, taskIdOf } from '@d7y/piece';
import type { HostTls } from '@d7y/origin-client';
import { Secret } from '@d7y/service-kit';
import { isPublicHeader } from '../messages/download.ts';

/** A preheat, or a question about one, that cannot be. */
export class PreheatRequestError extends DfError {
  override readonly name = 'PreheatRequestError';
  readonly code = 'INVALID_ARGUMENT';
  readonly retryable = false;
}

/** What decides the ids of tasks; the same for preheats, questions about them, and pulls. */
export interface TaskIdentity {
  readonly tag: string | undefined;
  readonly application: string | undefined;
  /** Bytes; undefined for the rule. */
  readonly pieceLength: bigint | undefined;
  readonly filteredQueryParams: readonly string[];
}

/** How an origin is asked, and as whom. Secrets stay in memory. */
export interface OriginAccess {
  /** Without credentials. */
  readonly headers: Readonly<Record<string, string>>;
  /** By lower-case name. */
  readonly credentials: Readonly<Record<string, Secret>>;
  /** PEM or DER, as it came. */
  readonly certificateChain: readonly Uint8Array[];
  readonly tls: HostTls;
}

type IdentityFields = Pick<
  scheduler.PreheatImageRequest,
  'tag' | 'application' | 'pieceLength' | 'filteredQueryParams'
>;

export function toTaskIdentity({ tag, application, pieceLength, filteredQueryParams }: IdentityFields): TaskIdentity {
  const named = filteredQueryParams.filter((name) => name !== '');
  return {
    tag: tag || undefined,
    application: application || undefined,
    pieceLength: pieceLength || undefined,
    filteredQueryParams: named.length > 0 ? named : DEFAULT_FILTERED_QUERY_PARAMS,
  };
}

/** Ids under which daemons may hold the content: by URL, and blobs by digest where they are configured so; that of `byDigest` first. */
export function taskIdsOf(url: string, identity: TaskIdentity, byDigest: boolean): readonly string[] {
  const { pieceLength, ...input } = identity;
  const idOf = (enableTaskIdBasedBlobDigest: boolean): string =>
    taskIdOf({
      ...input,
      url,
      pieceLength: pieceLength === undefined ? undefined : Number(pieceLength),
      enableTaskIdBasedBlobDigest,
    });
  return [...new Set([idOf(byDigest), idOf(!byDigest)])];
}

/** @throws {PreheatRequestError} a certificate that is none */
export function toOriginAccess(request: {
  readonly header: Readonly<Record<string, string>>;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly certificateChain: readonly Uint8Array[];
  readonly insecureSkipVerify: boolean;
}): OriginAccess {
  const { header, username, password, certificateChain, insecureSkipVerify } = request;
  const headers: Record<string, string> = {};
  const credentials: Record<string, Secret> = {};
  for (const [name, value] of Object.entries(header)) {
    if (isPublicHeader(name)) headers[name.toLowerCase()] = value;
    else credentials[name.toLowerCase()] = new Secret(value);
  }
  if (username !== undefined && username !== '') {
    const pair = Buffer.from(`${username}:${password ?? ''}`).toString('base64');
    credentials['authorization'] = new Secret(`Basic ${pair}`);
  }
  return {
    headers,
    credentials,
    certificateChain,
    tls: {
      ...(certificateChain.length > 0 && { ca: certificateChain.map(toPem).join('\n') }),
      ...(insecureSkipVerify && { insecure: true }),
    },
  };
}

function toPem(certificate: Uint8Array): string {
  try {
    return new X509Certificate(certificate).toString();
  } catch (cause) {
    throw new PreheatRequestError('certificate_chain: expected certificates in PEM or DER', { cause });
  }
}

/** Which daemons are to fetch. */
export interface TargetChoice {
  readonly scope: 'single_seed_peer' | 'all_seed_peers' | 'all_peers';
  readonly ips: readonly string[];
  readonly count: number | undefined;
  readonly percentage: number | undefined;
}

/** How much is done at once, and for how long. */
export interface PreheatLimits {
  readonly concurrentTasks: number;
  readonly concurrentPeers: number;
  readonly timeoutMs: number;
}

const HOUR_MS = 3_600_000;
const DEFAULT_TASKS = 8;
const DEFAULT_PEERS = 500;

/** @throws {PreheatRequestError} an unknown scope */
export function toTargetChoice({
  scope,
  ips,
  count,
  percentage,
}: Pick<scheduler.PreheatFileRequest, 'scope' | 'ips' | 'count' | 'percentage'>): TargetChoice {
  if (scope !== 'single_seed_peer' && scope !== 'all_seed_peers' && scope !== 'all_peers')
    throw new PreheatRequestError('scope: expected single_seed_peer, all_seed_peers or all_peers');
  return { scope, ips, count, percentage };
}

export function toLimits(request: {
  readonly concurrentTaskCount?: bigint | undefined;
  readonly concurrentPeerCount?: bigint | undefined;
  readonly timeout?: Parameters<typeof durationMs>[0] | undefined;
}): PreheatLimits {
  const timeoutMs = request.timeout === undefined ? 0 : durationMs(request.timeout);
  return {
    concurrentTasks: bounded(request.concurrentTaskCount, DEFAULT_TASKS, 100),
    concurrentPeers: bounded(request.concurrentPeerCount, DEFAULT_PEERS, 1000),
    timeoutMs: timeoutMs > 0 ? Math.min(timeoutMs, 24 * HOUR_MS) : HOUR_MS,
  };
}

function bounded(value: bigint | undefined, fallback: number, most: number): number {
  return value === undefined || value <= 0n ? fallback : Math.min(Number(value), most);
}

/** What a download has beside its URL. */
export interface DownloadExtras {
  readonly priority: common.Priority;
  readonly outputPath?: string | undefined;
  readonly objectStorage?: common.ObjectStorage | undefined;
  readonly hdfs?: common.HDFS | undefined;
}
