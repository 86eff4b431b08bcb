import type { HandlerContext } from '@connectrpc/connect';
import { Code, ConnectError } from '@connectrpc/connect';

/** What an origin answered, as daemons tell it to whoever asked them for the content. */
export interface BackendError {
  readonly message: string;
  /** Headers of the origin's answer, lower-case. */
  readonly headers: Readonly<Record<string, string>>;
  /** HTTP status; undefined when the origin gave no answer. */
  readonly status: number | undefined;
}

/** Daemons put unpadded base64 of a JSON object here, where gRPC has a protobuf message. */
const DETAILS_HEADER = 'grpc-status-details-bin';
/** Where the JSON waits, unparsed, for backendErrorOf: Connect would fail the call over it. */
const KEPT_HEADER = 'x-d7y-backend-error';

/**
 * The error with which a handler reports that the origin refused: what the origin said travels in the trailers, in the
 * form that stock daemons use and stock clients print. Throw what is returned.
 */
export function toBackendConnectError(
  context: Pick<HandlerContext, 'responseTrailer'>,
  error: BackendError,
): ConnectError {
  const json = JSON.stringify({ message: error.message, header: error.headers, status_code: error.status ?? null });
  context.responseTrailer.set(DETAILS_HEADER, Buffer.from(json).toString('base64').replace(/=+$/, ''));
  return new ConnectError(error.message, Code.Internal);
}

/** What the origin answered, when a failed call tells; looks through the causes of the error. */
export function backendErrorOf(error: unknown): BackendError | undefined {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth++) {
    if (!(cause instanceof ConnectError)) continue;
    const kept = cause.metadata.get(KEPT_HEADER);
    if (kept !== null) return parseDetails(kept);
  }
  return undefined;
}

/** Moves JSON details out of Connect's sight; protobuf details stay. */
export function keepJsonDetails(headers: Headers): void {
  headers.delete(KEPT_HEADER);
  const details = headers.get(DETAILS_HEADER);
  if (details === null || !isJson(details)) return;
  headers.delete(DETAILS_HEADER);
  headers.set(KEPT_HEADER, details);
}

/** `{` opens a group of field 15 in protobuf, which google.rpc.Status does not have. */
function isJson(base64: string): boolean {
  return Buffer.from(base64.slice(0, 4), 'base64')[0] === 0x7b;
}

function parseDetails(base64: string): BackendError | undefined {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(base64, 'base64').toString());
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const { message, header, status_code: status } = json as Record<string, unknown>;
  const headers: Record<string, string> = {};
  if (typeof header === 'object' && header !== null) {
    for (const [name, value] of Object.entries(header)) {
      if (typeof value === 'string') headers[name.toLowerCase()] = value;
    }
  }
  return {
    message: typeof message === 'string' ? message : '',
    headers,
    status: typeof status === 'number' && Number.isInteger(status) ? status : undefined,
  };
}
