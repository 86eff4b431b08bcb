import type { TlsIdentityFiles } from '@d7y/service-kit';
import type { DfdaemonConfig } from './schema.ts';

const KEYS = ['caCert', 'cert', 'key'] as const;

/** A section of the configuration that may name certificates. */
type TlsSection = Readonly<Partial<Record<(typeof KEYS)[number], string | undefined>>>;

/** @returns undefined for a section without certificates; one with some of them is refused before */
export function tlsFilesOf({ caCert, cert, key }: TlsSection): TlsIdentityFiles | undefined {
  return caCert === undefined || cert === undefined || key === undefined ? undefined : { caCert, cert, key };
}

/** What is wrong with the choice of certificates, in one line: half a protection would be none. */
export function tlsProblemOf({
  upload,
  scheduler,
  manager,
}: Pick<DfdaemonConfig, 'upload' | 'scheduler' | 'manager'>): string | undefined {
  const sections = { 'upload.server': upload.server, 'upload.client': upload.client, scheduler, manager };
  for (const [name, section] of Object.entries(sections)) {
    const missing = KEYS.filter((key) => section[key] === undefined);
    if (missing.length > 0 && missing.length < KEYS.length)
      return `${name}.${missing[0] ?? ''}: missing, caCert, cert and key belong together`;
  }
  const isServerSecure = tlsFilesOf(upload.server) !== undefined;
  if (isServerSecure !== (tlsFilesOf(upload.client) !== undefined)) {
    const [given, absent] = isServerSecure ? ['upload.server', 'upload.client'] : ['upload.client', 'upload.server'];
    return `${absent}: without certificates although ${given} has them, a daemon serves and fetches over TLS or does neither`;
  }
  return undefined;
}
