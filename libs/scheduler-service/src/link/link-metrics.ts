import { TalliedCounter } from '@d7y/service-kit';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { LinkHub } from './link-hub.ts';

/** Figures of the streams with daemons of ours. @returns what counts their requests by kind */
export function createLinkMetrics(registry: Registry, hub: LinkHub): { request(kind: string): void } {
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name: `dragonfly_scheduler_${name}`,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
  gauge('links', 'open streams of daemons of ours', () => hub.counts().links);
  gauge('link_peers', 'peers that speak over the streams of their daemons', () => hub.counts().peers);
  gauge('link_followed_tasks', 'tasks whose vouchers somebody follows', () => hub.counts().followedTasks);
  gauge('link_vouchers', 'vouchers of pieces that are known', () => hub.counts().vouchers);
  gauge('link_tags', 'tags of which the meaning is known', () => hub.counts().tags);
  const requests = new TalliedCounter({
    name: 'dragonfly_scheduler_link_requests_total',
    help: 'messages of daemons of ours, by kind',
    labelNames: ['kind'],
    registers,
  });
  const byKind = new Map<string, () => void>();
  return {
    request(kind) {
      let count = byKind.get(kind);
      if (count === undefined) byKind.set(kind, (count = requests.tally({ kind })));
      count();
    },
  };
}
