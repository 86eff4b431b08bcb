import type { Host } from './host.ts';
import type { Peer } from './peer.ts';
import { SampleSet } from './sample-set.ts';

/** The hosts of a task between which bytes are cheap, as they stand for exchange. */
export class Zone {
  readonly key: string;
  /** Peers with room for another child. */
  readonly open = new SampleSet<'openAt', Peer>('openAt');
  /** Those of our daemons that have room for another parent. */
  readonly hungry = new SampleSet<'hungryAt', Peer>('hungryAt');
  /** The few that have parents in other zones. */
  readonly gateways = new Set<Peer>();
  /** Peers in exchange. */
  members = 0;
  /** Those of them that have everything. */
  copies = 0;

  constructor(key: string) {
    this.key = key;
  }
}

/** Data centre of a host, or else its place. Compared without regard to case. */
export const zoneKeyOf = ({ facts: { idc, location } }: Host): string => (idc ?? location ?? '').toLowerCase();
