import { durationMs } from '@bufbuild/protobuf/wkt';
import type { scheduler } from '@d7y/api';
import { DEFAULT_FILTERED_QUERY_PARAMS } from '@d7y/piece';
import { PREHEAT_SCOPES, PreheatRequestError, type TargetChoice, type TaskIdentity } from '@d7y/preheat';

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
  scope: named,
  ips,
  count,
  percentage,
}: Pick<scheduler.PreheatFileRequest, 'scope' | 'ips' | 'count' | 'percentage'>): TargetChoice {
  const scope = PREHEAT_SCOPES.find((known) => known === named);
  if (scope === undefined)
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
