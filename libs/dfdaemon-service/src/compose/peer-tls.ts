import { TlsIdentity, type TlsIdentityFiles } from '@d7y/service-kit';
import { tlsFilesOf } from '../config/tls-files.ts';
import type { Runtime } from './runtime.ts';

/** The certificates of this daemon, as far as it has any; where one is undefined that side speaks without TLS. */
export interface PeerTls {
  /** For those who fetch from here, and for schedulers. */
  readonly server: TlsIdentity | undefined;
  /** For those from whom this daemon fetches. */
  readonly client: TlsIdentity | undefined;
  /** For the schedulers it asks. */
  readonly scheduler: TlsIdentity | undefined;
  /** For the manager. */
  readonly manager: TlsIdentity | undefined;
}

/** @throws {StartError} a file cannot be used: nothing falls back to plain text */
export function readPeerTls({ config, logger, stack }: Pick<Runtime, 'config' | 'logger' | 'stack'>): PeerTls {
  const read = (section: string, files: TlsIdentityFiles | undefined) =>
    files === undefined ? undefined : stack.use(new TlsIdentity(files, { section, logger }));
  return {
    server: read('upload.server', tlsFilesOf(config.upload.server)),
    client: read('upload.client', tlsFilesOf(config.upload.client)),
    scheduler: read('scheduler', tlsFilesOf(config.scheduler)),
    manager: read('manager', tlsFilesOf(config.manager)),
  };
}

/** What connections are made with: each with the certificates of the moment. */
export const tlsSourceOf = (identity: TlsIdentity | undefined) =>
  identity === undefined ? undefined : () => identity.current;
