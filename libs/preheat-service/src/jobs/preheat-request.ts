import type { X509Certificate } from 'node:crypto';
import type { common } from '@d7y/api';
import { DEFAULT_FILTERED_QUERY_PARAMS } from '@d7y/piece';
import { type OriginAccess, type TargetChoice, type TaskIdentity, toOriginAccess } from '@d7y/preheat';
import { z } from 'zod';

const text = z.string().optional();

/** The arguments of a preheat as far as a worker needs them; the manager has checked them. */
const preheatArgs = z.looseObject({
  type: z.enum(['image', 'file']),
  url: text,
  reference: text,
  urls: z.array(z.string()).optional(),
  piece_length: z.number().optional(),
  tag: text,
  application: text,
  filtered_query_params: text,
  headers: z.record(z.string(), z.string()).optional(),
  username: text,
  password: text,
  platform: text,
  platforms: z.array(z.string()).optional(),
  scope: z.enum(['single_seed_peer', 'all_seed_peers', 'all_peers']).optional(),
  ips: z.array(z.string()).optional(),
  count: z.number().optional(),
  percentage: z.number().optional(),
  concurrent_task_count: z.number().optional(),
  concurrent_peer_count: z.number().optional(),
  priority: z.number().optional(),
  success_policy: text,
});

/** What a preheat asks for. */
export interface PreheatRequest {
  readonly kind: 'image' | 'file';
  readonly urls: readonly string[];
  /** The image was named without a scheme. */
  readonly isBare: boolean;
  readonly platforms: readonly string[];
  readonly identity: TaskIdentity;
  readonly access: OriginAccess;
  readonly choice: TargetChoice;
  readonly concurrentLayers: number;
  readonly concurrentPeers: number;
  readonly priority: common.Priority;
  /** Part of the targets that have to have a layer, in percent; 0: one of them. */
  readonly quorum: number;
}

/** How registries are trusted, as configured. */
export interface RegistryTrust {
  readonly certificates: readonly X509Certificate[];
  readonly insecureSkipVerify: boolean;
}

const DEFAULT_LAYERS = 8;
const DEFAULT_PEERS = 500;

/** Which task content is, from the arguments of any job. */
export function toTaskIdentity(args: {
  readonly tag?: string | undefined;
  readonly application?: string | undefined;
  readonly piece_length?: number | undefined;
  readonly filtered_query_params?: string | undefined;
}): TaskIdentity {
  const { tag, application, piece_length: pieceLength, filtered_query_params: filtered = '' } = args;
  const named = filtered.split('&').filter((name) => name !== '');
  return {
    tag: tag || undefined,
    application: application || undefined,
    pieceLength: pieceLength ? BigInt(pieceLength) : undefined,
    filteredQueryParams: named.length > 0 ? named : DEFAULT_FILTERED_QUERY_PARAMS,
  };
}

export function toAccess(
  {
    headers = {},
    username,
    password,
  }: {
    readonly headers?: Readonly<Record<string, string>> | undefined;
    readonly username?: string | undefined;
    readonly password?: string | undefined;
  },
  { certificates, insecureSkipVerify }: RegistryTrust,
): OriginAccess {
  const certificateChain = certificates.map(({ raw }) => new Uint8Array(raw));
  return toOriginAccess({ header: headers, username, password, certificateChain, insecureSkipVerify });
}

/** @param given with their credentials */
export function toPreheatRequest(given: Readonly<Record<string, unknown>>, trust: RegistryTrust): PreheatRequest {
  const args = preheatArgs.parse(given);
  const { type: kind, url, urls = [], platform, platforms = [], scope = 'single_seed_peer', ips = [] } = args;
  return {
    kind,
    isBare: args.reference !== undefined,
    urls: [...new Set([...(url === undefined ? [] : [url]), ...urls])],
    platforms: [...new Set([...(platform === undefined ? [] : [platform]), ...platforms])],
    identity: toTaskIdentity(args),
    access: toAccess(args, trust),
    choice: { scope, ips, count: args.count, percentage: args.percentage },
    concurrentLayers: args.concurrent_task_count ?? DEFAULT_LAYERS,
    concurrentPeers: args.concurrent_peer_count ?? DEFAULT_PEERS,
    priority: (args.priority ?? 0) as common.Priority,
    quorum: quorumOf(args.success_policy),
  };
}

function quorumOf(policy: string | undefined): number {
  if (policy === 'any') return 0;
  return Number(/^quorum:(\d+)$/.exec(policy ?? '')?.[1] ?? 100);
}
