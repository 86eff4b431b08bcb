import { X509Certificate } from 'node:crypto';

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/**
 * The certificates in some data: any number in PEM, between whatever other text, or one in DER.
 * @throws {Error} there is none, or one that cannot be parsed; the message quotes nothing of the data
 */
export function certificatesIn(data: Uint8Array | string): readonly X509Certificate[] {
  const text = typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
  const blocks = text.match(PEM_BLOCK);
  if (blocks !== null) return blocks.map((block) => new X509Certificate(block));
  if (typeof data === 'string' || data.length === 0) throw new TypeError('there is no certificate in it');
  return [new X509Certificate(data)];
}
