import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { swarm } from '@d7y/api';
import { PIECE_KEEPALIVE, PIECE_TURNS, toVoucherMessage } from '@d7y/peer-protocol';
import type { OwnVouchers } from '../link/own-vouchers.ts';
import type { GreetedHosts } from '../upload/greeted-hosts.ts';
import { DownloadRefusedError } from './task-request-message.ts';

export interface SwarmServicePorts {
  readonly hostId: string;
  /** Remembers who said Hello. */
  readonly greeted: Pick<GreetedHosts, 'greetedBy'>;
  readonly version: string;
  readonly vouchers: Pick<OwnVouchers, 'follow'>;
  readonly disableShared: boolean;
  /** Children are offered turns. */
  readonly takesTurns: boolean;
  /** Where pieces are served over TLS; undefined when they are not. */
  readonly pieceTlsPort?: number | undefined;
  /** Most FollowVouchers at once. */
  readonly maxFollowers?: number;
}

/** Optional abilities of this daemon. */
const FEATURES = ['vouchers', PIECE_KEEPALIVE];
const MAX_FOLLOWERS = 4_096;

/** d7y.swarm.v1: how our own processes recognise each other, and what this daemon vouches for. */
export function swarmService({
  hostId,
  greeted,
  version,
  vouchers,
  disableShared,
  takesTurns,
  pieceTlsPort = 0,
  maxFollowers = MAX_FOLLOWERS,
}: SwarmServicePorts): Partial<ServiceImpl<typeof swarm.SwarmService>> {
  let followers = 0;
  const features = takesTurns ? [...FEATURES, PIECE_TURNS] : FEATURES;
  return {
    hello: ({ instanceId }) => {
      greeted.greetedBy(instanceId);
      return { instanceId: hostId, version, features, pieceTlsPort };
    },
    async *followVouchers({ taskId }, { signal }) {
      if (disableShared) throw new DownloadRefusedError('this daemon shares nothing');
      if (followers >= maxFollowers) throw new ConnectError('too many follow vouchers here', Code.ResourceExhausted);
      followers++;
      try {
        for await (const batch of vouchers.follow(taskId, { signal }))
          yield create(swarm.FollowVouchersResponseSchema, toVoucherMessage(batch, hostId));
      } finally {
        followers--;
      }
    },
  };
}
