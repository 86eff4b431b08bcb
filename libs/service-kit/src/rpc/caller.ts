import { isIP } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { ContextKey } from '@connectrpc/connect';
import { createContextKey } from '@connectrpc/connect';

/** Who calls, as an authority that this process trusts has certified it. */
export interface Caller {
  readonly commonName: string;
  /** Lower case. */
  readonly dnsNames: readonly string[];
  /** In the shortest notation, as `canonicalIp` gives it. */
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
}

/** Value of a handler's context: who calls; undefined where callers need no certificate. */
export const CALLER: ContextKey<Caller | undefined> = createContextKey<Caller | undefined>(undefined, {
  description: 'caller',
});

/** One of an address's notations, for comparison; undefined where it is no address. */
export function canonicalIp(text: string): string | undefined {
  const family = isIP(text);
  if (family === 4) return text;
  return family === 6 ? URL.parse(`http://[${text}]`)?.hostname.slice(1, -1) : undefined;
}

/** The caller behind a verified TLS connection. */
export function callerOf(socket: Pick<TLSSocket, 'getPeerCertificate'>): Caller | undefined {
  const certificate = socket.getPeerCertificate() as Partial<PeerCertificate> | undefined;
  if (certificate?.subject === undefined) return undefined;
  const names = [...alternativeNames(certificate.subjectaltname ?? '')];
  const valuesOf = (kind: string): string[] => names.flatMap(([found, value]) => (found === kind ? [value] : []));
  return {
    commonName: [certificate.subject.CN].flat()[0] ?? '',
    dnsNames: valuesOf('DNS').map((name) => name.toLowerCase()),
    ipAddresses: valuesOf('IP Address').flatMap((address) => canonicalIp(address) ?? []),
    uris: valuesOf('URI'),
  };
}

/** Reads `DNS:a.example, IP Address:10.0.0.1, URI:"with, comma"`: Node quotes what could be taken for more than one name. */
function* alternativeNames(text: string): Generator<[kind: string, value: string]> {
  for (const [, kind, quoted, plain] of text.matchAll(/(?:^|, )([^:,"]+):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?=, |$)/g)) {
    if (kind !== undefined) yield [kind, quoted === undefined ? (plain ?? '') : (JSON.parse(quoted) as string)];
  }
}
