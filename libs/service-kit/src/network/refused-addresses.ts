import { BlockList, isIP } from 'node:net';

/** Why an address is not connected to. */
export type RefusedKind = 'link-local' | 'metadata service' | 'multicast' | 'unspecified' | 'private';

type Net = readonly [address: string, prefix: number];

/** IPv4 ranges that no content lives in. What is written here for IPv4 also holds for its forms within IPv6. */
const NEVER: readonly (readonly [RefusedKind, readonly Net[], readonly Net[]])[] = [
  ['unspecified', [['0.0.0.0', 8]], [['::', 128]]],
  ['link-local', [['169.254.0.0', 16]], [['fe80::', 10]]],
  // Those of clouds that are not link-local.
  [
    'metadata service',
    [
      ['100.100.100.200', 32],
      ['168.63.129.16', 32],
      ['192.0.0.192', 32],
    ],
    [
      ['fd00:ec2::', 32],
      ['fd20:ce::254', 128],
    ],
  ],
  [
    'multicast',
    [
      ['224.0.0.0', 4],
      ['240.0.0.0', 4],
    ],
    [['ff00::', 8]],
  ],
];

const PRIVATE: readonly [readonly Net[], readonly Net[]] = [
  [
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
  ],
  [
    ['::1', 128],
    ['fc00::', 7],
  ],
];

const NEVER_LISTS = NEVER.map(([kind, ipv4, ipv6]) => [kind, listOf(ipv4, ipv6)] as const);
const PRIVATE_LIST = listOf(...PRIVATE);

/**
 * What kind of address this is, if it is one that is refused.
 * @param address IPv4 or IPv6, with or without a zone
 * @param refusePrivate whether private networks and this machine count
 */
export function refusedKindOf(address: string, { refusePrivate }: { refusePrivate: boolean }): RefusedKind | undefined {
  const bare = address.replace(/%.*$/, '');
  const family = isIP(bare) === 6 ? 'ipv6' : 'ipv4';
  for (const [kind, list] of NEVER_LISTS) if (list.check(bare, family)) return kind;
  return refusePrivate && PRIVATE_LIST.check(bare, family) ? 'private' : undefined;
}

/** A BlockList knows IPv4 within `::ffff:0:0/96` by itself; the translated form (RFC 6052) is added. */
function listOf(ipv4: readonly Net[], ipv6: readonly Net[]): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of ipv4) {
    list.addSubnet(address, prefix, 'ipv4');
    list.addSubnet(`64:ff9b::${address}`, 96 + prefix, 'ipv6');
  }
  for (const [address, prefix] of ipv6) list.addSubnet(address, prefix, 'ipv6');
  return list;
}
