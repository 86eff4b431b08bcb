import { DfError } from '@d7y/piece';
import { canonicalIp } from '@d7y/service-kit';
import { seedOrder, seedRing } from '@d7y/swarm';

/** There is nobody who could fetch. */
export class NoTargetError extends DfError {
  override readonly name = 'NoTargetError';
  readonly code = 'NO_PREHEAT_TARGET';
  readonly retryable = true;
}

/** A daemon that may be told to fetch. */
export interface PreheatHost {
  readonly id: string;
  readonly kind: 'normal' | 'seed';
  readonly ip: string;
  /** Of its upload service. */
  readonly port: number;
}

export const PREHEAT_SCOPES = ['single_seed_peer', 'all_seed_peers', 'all_peers'] as const;
export type PreheatScope = (typeof PREHEAT_SCOPES)[number];

/** Which daemons are to fetch. */
export interface TargetChoice {
  readonly scope: PreheatScope;
  readonly ips: readonly string[];
  readonly count: number | undefined;
  readonly percentage: number | undefined;
}

/**
 * The daemons of a scope: for a single seed all seeds, else all of the kind, restricted to `ips`, else to `count` of them, else to a
 * percentage (at least one).
 * @param hosts those that are not known to be gone
 * @throws {NoTargetError}
 */
export function chooseTargets<Host extends PreheatHost>(
  hosts: Iterable<Host>,
  { scope, ips, count, percentage }: TargetChoice,
): readonly Host[] {
  const wanted = scope === 'all_peers' ? 'normal' : 'seed';
  const there = [...hosts].filter(({ kind }) => kind === wanted);
  const chosen = scope === 'single_seed_peer' ? there : restrict(there, { ips, count, percentage });
  if (chosen.length === 0) {
    const which = ips.length > 0 && scope !== 'single_seed_peer' ? ' with one of the given addresses' : '';
    throw new NoTargetError(`scope ${scope}: no ${wanted === 'seed' ? 'seed' : 'daemon'}${which} is known here`);
  }
  return chosen;
}

/**
 * Targets in the order in which they are asked to fetch a task from its origin: seeds as the scheduler's ring has them, so that it is the
 * one that a pull would have made fetch; others spread over the tasks, so that not one of them fetches everything.
 */
export function inFetchOrder<Host extends PreheatHost>(
  targets: readonly Host[],
  scope: PreheatScope,
  taskId: string,
): readonly Host[] {
  const isOfRing = scope !== 'all_peers';
  const nameOf = ({ id, ip, port }: Host): string =>
    isOfRing ? (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`) : id;
  const byName = new Map(targets.map((target) => [nameOf(target), target]));
  const order = isOfRing ? seedRing(byName.keys()).ordered(taskId) : seedOrder(byName.keys(), taskId);
  return order.flatMap((name) => byName.get(name) ?? []);
}

function restrict<Host extends PreheatHost>(
  hosts: readonly Host[],
  { ips, count, percentage }: Pick<TargetChoice, 'ips' | 'count' | 'percentage'>,
): readonly Host[] {
  if (ips.length > 0) {
    const wanted = new Set(ips.map((ip) => canonicalIp(ip) ?? ip));
    return hosts.filter(({ ip }) => wanted.has(canonicalIp(ip) ?? ip));
  }
  if (count !== undefined && count > 0) return hosts.slice(0, count);
  if (percentage !== undefined && percentage > 0)
    return hosts.slice(0, Math.max(1, Math.floor((hosts.length * percentage) / 100)));
  return hosts;
}
