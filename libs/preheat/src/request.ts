import { DfError, taskIdOf } from '@d7y/piece';
import { certificatesIn, isSecretHeader, Secret } from '@d7y/service-kit';

/** A preheat, or a question about one, that cannot be. */
export class PreheatRequestError extends DfError {
  override readonly name = 'PreheatRequestError';
  readonly code = 'INVALID_ARGUMENT';
  readonly retryable = false;
}

/** What decides the ids of tasks; the same for preheats, questions about them, and pulls. */
export interface TaskIdentity {
  readonly tag: string | undefined;
  readonly application: string | undefined;
  /** Bytes; undefined for the rule. */
  readonly pieceLength: bigint | undefined;
  readonly filteredQueryParams: readonly string[];
}

/** Secret headers by lower-case name. */
export type Credentials = Readonly<Record<string, Secret>>;

/** Whom to trust at an origin, where that differs from all others. */
export interface OriginTls {
  /** PEM certificates of authorities, beside the system's. */
  readonly ca?: string | undefined;
  /** Do not verify at all. */
  readonly insecure?: boolean | undefined;
}

/** How an origin is asked, and as whom. Secrets stay in memory. */
export interface OriginAccess {
  /** Without credentials. */
  readonly headers: Readonly<Record<string, string>>;
  readonly credentials: Credentials;
  /** PEM or DER, as it came. */
  readonly certificateChain: readonly Uint8Array[];
  readonly tls: OriginTls;
}

/** Id of the task by which daemons know a URL. @param byDigest whether blobs are known by their digest, as daemons are configured */
export function taskIdFor(url: string, { pieceLength, ...input }: TaskIdentity, byDigest: boolean): string {
  return taskIdOf({
    ...input,
    url,
    pieceLength: pieceLength === undefined ? undefined : Number(pieceLength),
    enableTaskIdBasedBlobDigest: byDigest,
  });
}

/** Ids under which daemons may hold the content: by URL, and blobs by digest where they are configured so; that of `byDigest` first. */
export function taskIdsOf(url: string, identity: TaskIdentity, byDigest: boolean): readonly string[] {
  return [...new Set([taskIdFor(url, identity, byDigest), taskIdFor(url, identity, !byDigest)])];
}

/** @throws {PreheatRequestError} a certificate that is none */
export function toOriginAccess(request: {
  readonly header: Readonly<Record<string, string>>;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly certificateChain: readonly Uint8Array[];
  readonly insecureSkipVerify: boolean;
}): OriginAccess {
  const { header, username, password, certificateChain, insecureSkipVerify } = request;
  const headers: Record<string, string> = {};
  const credentials: Record<string, Secret> = {};
  for (const [name, value] of Object.entries(header)) {
    if (isSecretHeader(name)) credentials[name.toLowerCase()] = new Secret(value);
    else headers[name.toLowerCase()] = value;
  }
  if (username !== undefined && username !== '') {
    const pair = Buffer.from(`${username}:${password ?? ''}`).toString('base64');
    credentials['authorization'] = new Secret(`Basic ${pair}`);
  }
  return {
    headers,
    credentials,
    certificateChain,
    tls: {
      ...(certificateChain.length > 0 && { ca: certificateChain.flatMap(toPem).join('\n') }),
      ...(insecureSkipVerify && { insecure: true }),
    },
  };
}

function toPem(certificate: Uint8Array): string[] {
  try {
    return certificatesIn(certificate).map(String);
  } catch (cause) {
    throw new PreheatRequestError('certificate_chain: expected certificates in PEM or DER', { cause });
  }
}

/** Whether a caller brings no credentials. */
export const isNobody = ({ credentials }: Pick<OriginAccess, 'credentials'>): boolean =>
  Object.keys(credentials).length === 0;
