import { describe, expect, it } from '@jest/globals';
import { CA_PEM, CERT_PEM } from '../listener/_tls-fixture.ts';
import { certificatesIn } from './certificates.ts';

const subjects = (data: Uint8Array | string) => certificatesIn(data).map(({ subject }) => subject);

describe('certificatesIn', () => {
  it('finds every certificate of a PEM text, whatever stands between them', () => {
    const [authority] = subjects(CA_PEM);
    const bundle = `# of the test\n${CA_PEM}\nand\n${CERT_PEM}`;
    expect(subjects(bundle)).toEqual([authority, ...subjects(CERT_PEM)]);
    expect(subjects(Buffer.from(bundle))).toEqual(subjects(bundle));
  });

  it('reads a certificate in DER', () => {
    const [certificate] = certificatesIn(CA_PEM);
    if (certificate === undefined) throw new TypeError();
    expect(certificatesIn(new Uint8Array(certificate.raw))[0]?.fingerprint256).toBe(certificate.fingerprint256);
  });

  it.each<[string, Uint8Array | string]>([
    ['text without any', 'CN=registry,O=test'],
    ['bytes of a subject', Buffer.from('CN=registry,O=test')],
    ['nothing', new Uint8Array()],
    ['a block with something else in it', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ])('throws for %s', (_what, data) => {
    expect(() => certificatesIn(data)).toThrow();
  });
});
