import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type { Parent } from '@d7y/peer-protocol';
import type { RememberedSeed } from './ports/schedulers.ts';

/** A remembered seed in the role of a parent, with no scheduler to describe it. */
export function seedAsParent(seed: RememberedSeed): Parent {
  return {
    peerId: `${seed.hostId}-unscheduled`,
    hostId: seed.hostId,
    ip: seed.ip,
    port: seed.port,
    isSeed: true,
    idc: undefined,
    location: undefined,
    isPrivate: false,
    contentLength: undefined,
    pieceLength: undefined,
    offer: create(common.PeerSchema, { id: `${seed.hostId}-unscheduled` }),
  };
}
