import type { AuditRepository, JobRepository, JobWork, WantedJob } from '@d7y/manager-db';
import type { SwarmListing } from '@d7y/peer-protocol';
import type { Connect, ImageReader, PeerBook } from '@d7y/preheat';
import { joinSecrets, secretContextOf } from '@d7y/preheat-queue';
import type { Logger, Secret, Telemetry } from '@d7y/service-kit';
import { type ClusterHost, type ClusterHosts, ClusterUnreachableError } from '../cluster/cluster-hosts.ts';
import type { RegistryTrust } from './preheat-request.ts';

/** Opens what the manager sealed. */
export interface Unseal {
  open(text: string, context: string): Secret;
}

/** What work on jobs needs. */
export interface JobContext {
  readonly work: JobWork;
  readonly peers: PeerBook;
  readonly audits: Pick<AuditRepository, 'removeBefore'>;
  readonly jobs: Pick<JobRepository, 'removeEndedBefore'>;
  readonly hosts: ClusterHosts;
  readonly listing: Pick<SwarmListing, 'tasks'>;
  readonly reader: ImageReader;
  /** To the upload service of a daemon. */
  readonly connect: Connect<ClusterHost>;
  readonly unsealer: Unseal;
  readonly trust: RegistryTrust;
  readonly byDigest: boolean;
  readonly defaultPlatforms: readonly string[];
  readonly maxLayers: number;
  readonly remoteIp: string;
  readonly retentionMs: { readonly job: number; readonly audit: number };
  readonly telemetry: Telemetry;
  readonly logger: Logger;
  readonly onTarget: (outcome: 'succeeded' | 'failed') => void;
}

/** The arguments of a job with its credentials, in memory only. @throws {SealBrokenError} */
export function argsOf({ unsealer }: Pick<JobContext, 'unsealer'>, { id, args, sealed }: WantedJob) {
  return joinSecrets(args, sealed === null ? undefined : unsealer.open(sealed, secretContextOf(id)));
}

/** Ends with the job's time. */
export function untilDeadline(
  { deadlineAt }: WantedJob,
  signal: AbortSignal,
): { readonly signal: AbortSignal; readonly isOver: () => boolean } {
  if (deadlineAt === null) return { signal, isOver: () => false };
  const leftMs = Math.min(Math.max(0, deadlineAt.getTime() - Date.now()), 2 ** 31 - 1);
  return {
    signal: AbortSignal.any([signal, AbortSignal.timeout(leftMs)]),
    isOver: () => deadlineAt.getTime() <= Date.now(),
  };
}

/** Tries of what needs a scheduler, while none answers: with their back-off a minute and a half, in which one is started again. */
const MAX_CLUSTER_TRIES = 8;

/** How often something is tried that failed. @param usual for other reasons than that no scheduler answers */
export const mostTries = (error: unknown, usual: number): number =>
  error instanceof ClusterUnreachableError ? MAX_CLUSTER_TRIES : usual;

/** Why something failed, for people: no secrets, no stack. */
export function reasonOf(error: unknown): string {
  const text =
    error instanceof Error ? ((error as { rawMessage?: string }).rawMessage ?? error.message) : String(error);
  return text.slice(0, 500);
}
