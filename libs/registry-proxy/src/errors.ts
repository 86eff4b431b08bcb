import { DfError } from '@d7y/piece';

/** Who generated an error, as X-Dragonfly-Error-Type says it. */
export type ErrorType = 'proxy' | 'dfdaemon' | 'backend';

/** The proxy refuses a request as it stands. */
export class ProxyRequestError extends DfError {
  override readonly name = 'ProxyRequestError';
  readonly code = 'PROXY_REQUEST';
  readonly retryable = false;
  /** HTTP status of the answer. */
  readonly status: number;
  /** Of the answer, lower-case. */
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** No answer from the upstream: it is down, too slow, or its certificate cannot be verified. */
export class UpstreamUnreachableError extends DfError {
  override readonly name = 'UpstreamUnreachableError';
  readonly code = 'UPSTREAM_UNREACHABLE';
  readonly retryable = true;
  constructor(origin: string, reason: string, options?: ErrorOptions) {
    super(`${origin}: ${reason}`, options);
  }
}
