import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { describeSystemError, StartError } from '../lifecycle/start-error.ts';

/** Paths of PEM files of a TLS server. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Certificates that sign those of clients. */
  readonly ca?: string | undefined;
  /** Refuse clients without a certificate signed by `ca`. */
  readonly requestCert?: boolean;
}

/**
 * Reads and checks the files: whatever is wrong with them stops the start instead of weakening the connection.
 * @param section configuration key under which they are named, for messages
 * @throws {StartError}
 */
export function readTlsFiles({ cert, key, ca, requestCert = false }: TlsFiles, section?: string) {
  const at = section === undefined ? '' : `${section}: `;
  if (requestCert && ca === undefined)
    throw new StartError('tls.ca: missing, name the certificates by which clients are verified');
  const options = {
    cert: readPem(cert, at),
    key: readPem(key, at),
    ...(ca === undefined ? {} : { ca: readPem(ca, at) }),
    requestCert,
    rejectUnauthorized: requestCert,
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw new StartError(`${at}${cert}, ${key}: no usable certificate and key, give matching PEM files`, {
      cause: error,
    });
  }
  if (options.ca !== undefined) {
    try {
      new X509Certificate(options.ca); // a file without certificates would pass for an empty list
    } catch (error) {
      throw new StartError(`${at}${ca ?? ''}: holds no certificate, give a PEM file`, { cause: error });
    }
  }
  return options;
}

function readPem(path: string, at: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StartError(`${at}${describeSystemError(error, path) ?? `${path}: cannot be read`}`, { cause: error });
  }
}
