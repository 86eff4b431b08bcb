import { describe, expect, it } from '@jest/globals';
import { callerOf, canonicalIp } from './caller.ts';

const socketOf = (subjectaltname: string | undefined, subject: object | undefined = { CN: 'node' }) =>
  ({ getPeerCertificate: () => ({ subject, subjectaltname }) }) as never;

describe('callerOf', () => {
  it('reads names, addresses and URIs', () => {
    expect(
      callerOf(
        socketOf('DNS:Node.Example, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe://a/host/b'),
      ),
    ).toEqual({
      commonName: 'node',
      dnsNames: ['node.example'],
      ipAddresses: ['10.0.0.1', '2001:db8::1'],
      uris: ['spiffe://a/host/b'],
    });
  });

  it('does not take one quoted name for several', () => {
    const caller = callerOf(socketOf('DNS:"evil.example, DNS:manager.example", URI:"a\\", DNS:b"'));
    expect(caller).toMatchObject({ dnsNames: ['evil.example, dns:manager.example'], uris: ['a", DNS:b'] });
  });

  it('knows nobody without a certificate, and a certificate without alternative names', () => {
    expect(callerOf({ getPeerCertificate: () => ({}) } as never)).toBeUndefined();
    expect(callerOf(socketOf(undefined))).toEqual({ commonName: 'node', dnsNames: [], ipAddresses: [], uris: [] });
  });
});

describe('canonicalIp', () => {
  it('gives every notation of an address the same form', () => {
    expect(canonicalIp('2001:0DB8:0::1')).toBe(canonicalIp('2001:db8::0.0.0.1'));
    expect(canonicalIp('10.0.0.1')).toBe('10.0.0.1');
    expect(canonicalIp('node-1')).toBeUndefined();
  });
});
