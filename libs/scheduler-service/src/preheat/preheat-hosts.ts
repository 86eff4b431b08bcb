import type { PreheatHost } from '@d7y/preheat';
import type { HostView } from '@d7y/swarm';

/** The hosts that may be told to fetch: those that are not known to be gone. */
export function* preheatHosts(hosts: Iterable<HostView>): Generator<PreheatHost, void, undefined> {
  for (const { id, facts, state } of hosts)
    if (state.kind !== 'lost') yield { id, kind: facts.kind, ip: facts.ip, port: facts.port };
}
