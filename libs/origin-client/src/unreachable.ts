import { DfError } from '@d7y/piece';
import { OriginUnreachableError } from '@d7y/peer-engine';

/** What errors of undici, sockets and TLS mean, by code. */
const REASONS: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: 'connecting took too long',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_SOCKET: 'the connection was closed',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the body has another length than announced',
  UND_ERR_HEADERS_OVERFLOW: 'the header of the answer is too long',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be resolved now',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it speaks no TLS',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
};

/** Certificates that are not trusted today are not trusted a second later. */
const UNTRUSTED =
  /^(ERR_TLS_CERT|CERT_|UNABLE_TO_(GET|VERIFY|DECRYPT)|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH)/;

/** Will be the same a moment later: no such name, no TLS, a request that cannot be. */
const HOPELESS: ReadonlySet<string> = new Set(['ENOTFOUND', 'ERR_SSL_WRONG_VERSION_NUMBER', 'UND_ERR_INVALID_ARG']);

/** Translates what went wrong on the way; errors of our own stay as they are. */
export function asUnreachable(url: string, error: unknown): DfError {
  if (error instanceof DfError) return error;
  const code = codeOf(error);
  const reason =
    code !== undefined && UNTRUSTED.test(code) ? `its certificate is not trusted (${code})` : REASONS[code ?? ''];
  return new OriginUnreachableError(url, reason ?? (error instanceof Error ? error.message : String(error)), {
    cause: error,
  });
}

/** Whether the same request may fare better in a moment. */
export function isWorthRepeating(error: unknown): boolean {
  if (error instanceof DfError) return false;
  const code = codeOf(error);
  return code === undefined || (!UNTRUSTED.test(code) && !HOPELESS.has(code));
}

/** Nobody listens there: it says so at once, and mostly still does a moment later. */
export function isRefusal(error: unknown): boolean {
  return codeOf(error) === 'ECONNREFUSED';
}

function codeOf(error: unknown): string | undefined {
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: unknown };
  if (typeof code === 'string') return code;
  // Happy eyeballs: one error per address.
  return Array.isArray(errors) ? codeOf(errors[0]) : undefined;
}
