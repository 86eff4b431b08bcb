import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { refusedKindOf } from './refused-addresses.ts';
import { hostGlob, UpstreamGuard, UpstreamRefusedError } from './upstream-guard.ts';

describe('refusedKindOf', () => {
  it.each([
    ['169.254.169.254', 'link-local'],
    ['::ffff:169.254.169.254', 'link-local'],
    ['::ffff:a9fe:a9fe', 'link-local'],
    ['64:ff9b::a9fe:a9fe', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['fd00:ec2::254', 'metadata service'],
    ['100.100.100.200', 'metadata service'],
    ['0.0.0.0', 'unspecified'],
    ['::', 'unspecified'],
    ['::ffff:0.0.0.0', 'unspecified'],
    ['239.1.2.3', 'multicast'],
    ['255.255.255.255', 'multicast'],
    ['ff02::1', 'multicast'],
    ['10.1.2.3', undefined],
    ['127.0.0.1', undefined],
    ['::1', undefined],
    ['fd12::1', undefined],
    ['1.1.1.1', undefined],
    ['2606:4700::1', undefined],
  ])('takes %s for %s', (address, kind) => {
    expect(refusedKindOf(address, { refusePrivate: false })).toBe(kind);
  });

  it.each(['10.1.2.3', '172.31.0.1', '192.168.1.1', '127.0.0.53', '100.64.0.1', '::1', 'fd12::1', '::ffff:10.0.0.1'])(
    'refuses %s where private networks are refused',
    (address) => {
      expect(refusedKindOf(address, { refusePrivate: true })).toBe('private');
      expect(refusedKindOf('1.1.1.1', { refusePrivate: true })).toBeUndefined();
    },
  );
});

describe('hostGlob', () => {
  it.each([
    ['ghcr.io', 'ghcr.io', 443, true],
    ['ghcr.io', 'GHCR.io.', 443, true],
    ['ghcr.io', 'xghcr.io', 443, false],
    ['ghcr.io', 'ghcrxio', 443, false],
    ['*.docker.io', 'registry-1.docker.io', 443, true],
    ['*.docker.io', 'docker.io', 443, false],
    ['registry.local:5000', 'registry.local', 5000, true],
    ['registry.local:5000', 'registry.local', 443, false],
    ['10.0.*:5000', '10.0.3.4', 5000, true],
    ['[::1]:5000', '[::1]', 5000, true],
    ['[::1]:5000', '::1', 5001, false],
    ['fd00::1', '[fd00::1]', 443, true],
    ['*', 'anything', 1, true],
  ])('%s and %s:%d: %s', (glob, host, port, matches) => {
    expect(hostGlob(glob)(host, port)).toBe(matches);
  });
});

describe('UpstreamGuard', () => {
  it('lets requests name what is allowed, but redirects lead elsewhere unless it is denied', () => {
    const guard = new UpstreamGuard({ allow: ['ghcr.io', '*.corp'], deny: ['secret.corp', 'evil.test'] });
    guard.checkNamed('ghcr.io', 443);
    guard.checkNamed('a.corp', 5000);
    guard.checkTarget('cdn.test', 443);
    expect(() => guard.checkNamed('docker.io', 443)).toThrow(UpstreamRefusedError);
    expect(() => guard.checkNamed('secret.corp', 443)).toThrow(UpstreamRefusedError);
    expect(() => guard.checkTarget('evil.test', 443)).toThrow(UpstreamRefusedError);
  });

  it.each(['169.254.169.254', '[fd00:ec2::254]', 'metadata.google.internal', 'Metadata.Google.Internal.', '0.0.0.0'])(
    'refuses %s by default',
    (host) => {
      expect(() => new UpstreamGuard().checkNamed(host, 80)).toThrow(UpstreamRefusedError);
    },
  );

  it('judges the address that a name turns out to have', async () => {
    // Neither is an address to anybody but the resolver.
    const connecting = (host: string, guard: UpstreamGuard) =>
      once(connect({ host, port: 9, lookup: guard.lookup }), 'connect');
    await expect(connecting('0', new UpstreamGuard())).rejects.toThrow(/unspecified/);
    await expect(connecting('127.1', new UpstreamGuard({ refusePrivate: true }))).rejects.toThrow(/private/);
    await expect(connecting('localhost', new UpstreamGuard({ refusePrivate: true }))).rejects.toThrow(/private/);
  });

  it('connects to private addresses unless told otherwise, asked for one address or for all', async () => {
    const server = createServer((socket) => socket.end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const autoSelectFamily of [true, false]) {
      const { lookup } = new UpstreamGuard();
      const socket = connect({ host: '127.1', port, lookup, autoSelectFamily });
      await once(socket, 'connect');
      socket.destroy();
    }
    await new Promise((resolve) => server.close(resolve));
  });
});
