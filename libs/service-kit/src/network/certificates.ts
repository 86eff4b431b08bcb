import { X509Certificate } from 'node:crypto';

/** What a daemon takes with one download as its `certificate_chain`, in all. */
export const CHAIN_LIMITS = { certificates: 16, bytes: 64 * 1024 } as const;

/** Whether entries of a `certificate_chain` are within CHAIN_LIMITS. */
export function isChainWithinLimits(chain: readonly Uint8Array[]): boolean {
  const bytes = chain.reduce((sum, { length }) => sum + length, 0);
  return chain.length <= CHAIN_LIMITS.certificates && bytes <= CHAIN_LIMITS.bytes;
}

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
