import { BlockList, isIP } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseAddress, parseNetwork } from './address.ts';
import { NetworkTable } from './network-table.ts';

const addresses = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.ipV4().map((ip) => `::ffff:${ip}`),
);

describe('parseAddress', () => {
  it('reads both families, and IPv4 in the clothes of IPv6', () => {
    expect(parseAddress('10.1.2.3')).toEqual({ family: 4, bits: 0x0a010203 });
    expect(parseAddress('255.255.255.255')).toEqual({ family: 4, bits: 0xffffffff });
    expect(parseAddress('::ffff:10.1.2.3')).toEqual({ family: 4, bits: 0x0a010203 });
    expect(parseAddress('::FFFF:0a01:0203')).toEqual({ family: 4, bits: 0x0a010203 });
    expect(parseAddress('2001:db8::1')).toEqual({ family: 6, bits: 0x20010db8000000000000000000000001n });
    expect(parseAddress('::')).toEqual({ family: 6, bits: 0n });
    expect(parseAddress('64:ff9b::1.2.3.4')).toEqual({ family: 6, bits: 0x0064ff9b000000000000000001020304n });
  });

  it.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.01',
    '10.0.0.0/8',
    'fe80::1%eth0',
    '1::2::3',
    ':::',
    '1:2:3:4:5:6:7',
    'g::',
  ])('takes %j for no address', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('takes for an address what Node takes for one', () => {
    const texts = fc.oneof(
      addresses,
      fc.stringMatching(/^[0-9a-f:.]{0,20}$/),
      fc.stringMatching(/^[0-3]{1,3}(\.[0-3]{1,3}){3}$/),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(parseAddress(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('parseNetwork', () => {
  it('drops the bits behind the prefix', () => {
    expect(parseNetwork('10.1.2.3/8')).toEqual(parseNetwork('10.0.0.0/8'));
    expect(parseNetwork('::ffff:10.1.2.3/104')).toEqual(parseNetwork('10.0.0.0/8'));
    expect(parseNetwork('10.1.2.3/32')).toMatchObject({ prefixLength: 32 });
  });

  it.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '::/129', '/8', '10.0.0.0/8/8', 'a/8'])(
    'takes %j for no network',
    (text) => {
      expect(parseNetwork(text)).toBeUndefined();
    },
  );
});

describe('NetworkTable', () => {
  it('finds the networks of an address as Node does', () => {
    const networks = fc.oneof(
      fc.tuple(fc.ipV4(), fc.nat(32)).map(([ip, length]) => ({ ip, length, family: 'ipv4' as const })),
      fc.tuple(fc.ipV6(), fc.nat(128)).map(([ip, length]) => ({ ip, length, family: 'ipv6' as const })),
    );
    fc.assert(
      fc.property(fc.array(networks, { maxLength: 20 }), addresses, (list, ip) => {
        const table = new NetworkTable();
        const expected = list.flatMap(({ ip: base, length, family }, owner) => {
          const network = parseNetwork(`${base}/${length}`);
          if (network === undefined) throw new Error(`${base}/${length}`);
          table.add(network, owner);
          if (family === 'ipv6' && network.address.family === 4) return [];
          const reference = new BlockList();
          reference.addSubnet(base, length, family);
          const plain = ip.startsWith('::ffff:') ? ip.slice('::ffff:'.length) : ip;
          const isIpv4 = isIP(plain) === 4;
          // Node lets the IPv6 network hold IPv4 addresses; families are apart here.
          return isIpv4 === (family === 'ipv4') && reference.check(plain, family) ? [owner] : [];
        });
        const address = parseAddress(ip);
        const found: number[] = [];
        if (address !== undefined) table.forEachOwner(address, (owner) => found.push(owner));
        const comparable = found.filter(
          (owner) =>
            parseNetwork(`${list[owner]?.ip ?? ''}/${list[owner]?.length ?? ''}`)?.address.family ===
            (list[owner]?.family === 'ipv4' ? 4 : 6),
        );
        expect(comparable.sort()).toEqual(expected.sort());
      }),
      { numRuns: 500 },
    );
  });
});
