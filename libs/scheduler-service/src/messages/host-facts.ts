import { durationMs } from '@bufbuild/protobuf/wkt';
import type { common, scheduler } from '@d7y/api';
import type { HostFacts } from '@d7y/swarm';
import { ConversationError } from '../errors.ts';
import { safeNumber } from './registration-facts.ts';

/** What the swarm needs of an announcement. Every type but 0 is some kind of seed. @throws {ConversationError} without a host */
export function toHostFacts({ host, interval }: scheduler.AnnounceHostRequest): {
  facts: HostFacts;
  message: common.Host;
} {
  if (host === undefined) throw new ConversationError('host: missing');
  const intervalMs = interval === undefined ? 0 : durationMs(interval);
  return {
    message: host,
    facts: {
      id: host.id,
      kind: host.type === 0 ? 'normal' : 'seed',
      ip: host.ip,
      port: host.port,
      idc: host.network?.idc || undefined,
      location: host.network?.location || undefined,
      disableShared: host.disableShared,
      uploadBitsPerSecond: safeNumber(host.network?.maxTxBandwidth) || undefined,
      announceIntervalMs: intervalMs > 0 ? intervalMs : undefined,
    },
  };
}
