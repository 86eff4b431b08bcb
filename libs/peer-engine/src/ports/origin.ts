import type { ByteRange } from '@d7y/piece';
import { DfError } from '@d7y/piece';
import type { Secret } from '@d7y/service-kit';

/** What tells one version of a content from another. */
export interface OriginValidators {
  readonly contentLength: number;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** Content at the origin as one caller may ask for it. */
export interface OriginRequest {
  /** http or https. */
  readonly url: string;
  /** Headers without secrets, sent as they are; hop-by-hop and Range headers must not be among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Secret headers of this caller by lower-case name (authorization, cookie …); empty for an anonymous caller. */
  readonly credentials: Readonly<Record<string, Secret>>;
  /** PEM certificates of authorities that this caller answers for, trusted beside the configured ones for this request alone. */
  readonly authorities?: string | undefined;
  /** The version of which some is here already: bytes of another one are refused with OriginChangedError. */
  readonly pinned?: OriginValidators | undefined;
}

/** What the origin says of the content without sending it. */
export interface OriginProbe {
  /** Bytes; undefined when the origin does not know (a chunked answer, and HEAD did not tell either). */
  readonly contentLength: number | undefined;
  /** Whether parts can be asked for; otherwise only the whole content from its first byte. */
  readonly acceptsRanges: boolean;
  /** End-to-end headers of the answer that describe the content (content-type, etag, docker-content-digest …), lower-case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A body under way. Ending the iteration early closes the connection. */
export interface OriginBody {
  /** The bytes of a chunk are valid until the next one is asked for: their buffer is used again. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Content back at its source. Implementations verify TLS, follow redirects without leaking credentials, and retry with back-off. */
export interface Origin {
  /**
   * Asks what there is, without its content: for no byte of it, or the first one only.
   * @throws {OriginStatusError} the origin answered, but not with the content
   * @throws {OriginUnreachableError} no answer
   */
  probe(request: OriginRequest, options: { signal: AbortSignal }): Promise<OriginProbe>;
  /**
   * Reads `range`, or the whole content without one. A cut connection is resumed where it broke; what is delivered is
   * exactly the range.
   * @throws {OriginStatusError} @throws {OriginUnreachableError} @throws {OriginChangedError}
   */
  fetch(request: OriginRequest, range: ByteRange | undefined, options: { signal: AbortSignal }): Promise<OriginBody>;
}

/** The origin answered with a status that is not success. */
export class OriginStatusError extends DfError {
  override readonly name = 'OriginStatusError';
  readonly code = 'ORIGIN_STATUS';
  readonly retryable: boolean;
  /** HTTP status. */
  readonly status: number;
  /** End-to-end headers of the answer, lower-case; www-authenticate and retry-after among them. */
  readonly headers: Readonly<Record<string, string>>;
  constructor(url: string, status: number, headers: Readonly<Record<string, string>>) {
    super(`the origin answered ${status} for ${withoutQuery(url)}`);
    this.status = status;
    this.headers = headers;
    this.retryable = status === 429 || status >= 500;
  }
}

/** The origin has another version of the content than the one of which some is here. */
export class OriginChangedError extends DfError {
  override readonly name = 'OriginChangedError';
  readonly code = 'ORIGIN_CHANGED';
  readonly retryable = true;
  constructor(url: string, reason: string) {
    super(`${withoutQuery(url)}: ${reason}`);
  }
}

/** The origin could not be reached, broke off, or sent something that is not the content asked for. */
export class OriginUnreachableError extends DfError {
  override readonly name = 'OriginUnreachableError';
  readonly code = 'ORIGIN_UNREACHABLE';
  readonly retryable = true;
  constructor(url: string, reason: string, options?: ErrorOptions) {
    super(`${withoutQuery(url)}: ${reason}`, options);
  }
}

/** A URL fit for logs: queries carry signatures. */
export function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, '').replace(/\/\/[^/@]*@/, '//');
}
