import { DfError } from '@d7y/piece';

/** A text that should name an image does not. */
export class ImageReferenceError extends DfError {
  override readonly name = 'ImageReferenceError';
  readonly code = 'IMAGE_REFERENCE';
  readonly retryable = false;
  readonly reference: string;
  constructor(reference: string, reason: string) {
    super(`"${excerpt(reference)}" is not an image reference: ${reason}`);
    this.reference = reference;
  }
}

/** What a token server answered is not a token. The answer is not repeated: it may hold one. */
export class TokenResponseError extends DfError {
  override readonly name = 'TokenResponseError';
  readonly code = 'TOKEN_RESPONSE';
  readonly retryable = true;
  constructor(reason: string, options?: ErrorOptions) {
    super(`the token server's answer ${reason}`, options);
  }
}

/** A document of a registry (manifest, index, descriptor) is not what its kind must be. */
export class OciDocumentError extends DfError {
  override readonly name = 'OciDocumentError';
  readonly code = 'OCI_DOCUMENT';
  readonly retryable = false;
  /** Where in the document, such as `layers[3].size`; empty for all of it. */
  readonly field: string;
  constructor(field: string, reason: string, options?: ErrorOptions) {
    super(field === '' ? `the document ${reason}` : `${field} of the document ${reason}`, options);
    this.field = field;
  }
}

/** A challenge cannot be followed: its realm is not a URL that tokens may be asked of. */
export class ChallengeRealmError extends DfError {
  override readonly name = 'ChallengeRealmError';
  readonly code = 'CHALLENGE_REALM';
  readonly retryable = false;
  readonly realm: string;
  constructor(realm: string) {
    super(`tokens cannot be asked of the realm "${excerpt(realm)}"`);
    this.realm = realm;
  }
}

function excerpt(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
