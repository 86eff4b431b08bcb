import { DfError } from '@d7y/piece';
import { canonicalIp } from '@d7y/service-kit';
import type { HostView } from '@d7y/swarm';
import { seedRing } from '@d7y/swarm';
import type { TargetChoice } from './preheat-request.ts';

/** There is nobody who could fetch. */
export class NoTargetError extends DfError {
  override readonly name = 'NoTargetError';
  readonly code = 'NO_PREHEAT_TARGET';
  readonly retryable = true;
}

/**
 * The daemons of a scope: for a single seed the seeds in the order in which a task tries them, else all of the kind that are not known to be
 * gone, restricted to `ips`, else to `count` of them, else to a percentage (at least one).
 * @throws {NoTargetError}
 */
export function chooseTargets(
  hosts: Iterable<HostView>,
  { scope, ips, count, percentage }: TargetChoice,
  taskId: string,
): readonly HostView[] {
  const kind = scope === 'all_peers' ? 'normal' : 'seed';
  const there = [...hosts].filter(({ facts, state }) => facts.kind === kind && state.kind !== 'lost');
  const chosen =
    scope === 'single_seed_peer' ? inRingOrder(there, taskId) : restrict(there, { ips, count, percentage });
  if (chosen.length === 0) {
    const which = ips.length > 0 && scope !== 'single_seed_peer' ? ' with one of the given addresses' : '';
    throw new NoTargetError(`scope ${scope}: no ${kind === 'seed' ? 'seed' : 'daemon'}${which} is known here`);
  }
  return chosen;
}

function inRingOrder(seeds: readonly HostView[], taskId: string): readonly HostView[] {
  const byAddress = new Map(seeds.map((seed) => [`${seed.facts.ip}:${seed.facts.port}`, seed]));
  return seedRing(byAddress.keys())
    .ordered(taskId)
    .flatMap((address) => byAddress.get(address) ?? []);
}

function restrict(
  hosts: readonly HostView[],
  { ips, count, percentage }: Pick<TargetChoice, 'ips' | 'count' | 'percentage'>,
): readonly HostView[] {
  if (ips.length > 0) {
    const wanted = new Set(ips.map((ip) => canonicalIp(ip) ?? ip));
    return hosts.filter(({ facts }) => wanted.has(canonicalIp(facts.ip) ?? facts.ip));
  }
  if (count !== undefined && count > 0) return hosts.slice(0, count);
  if (percentage !== undefined && percentage > 0)
    return hosts.slice(0, Math.max(1, Math.floor((hosts.length * percentage) / 100)));
  return hosts;
}
