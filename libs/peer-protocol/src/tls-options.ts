import type { ConnectionOptions } from 'node:tls';

/** Trust for TLS; the certificate must be valid for the address that is dialled, unless `servername` names another. */
export interface TlsOptions {
  /** PEM; the system's certificate authorities when absent. */
  readonly ca?: string | Buffer | undefined;
  /** PEM, for servers that demand a client certificate. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  readonly servername?: string | undefined;
}

/** Options, or what tells them for each connection anew: certificates are renewed while a process runs. */
export type TlsSource = TlsOptions | (() => TlsOptions);

/** As Node takes them. */
export function connectionOptionsOf(source: TlsSource): ConnectionOptions {
  const options = typeof source === 'function' ? source() : source;
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
