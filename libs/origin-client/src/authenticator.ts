import type { Secret } from '@d7y/service-kit';

/** Knows how to convince a server on behalf of callers who bring no credentials. */
export interface Authenticator {
  /** The authorization that a request for this URL will need, as far as that is known by now. */
  known(url: URL): Secret | undefined;
  /**
   * Answers a refusal.
   * @param challenge WWW-Authenticate of the 401
   * @param refused the authorization that was sent and did not do
   * @returns another one to try, or undefined when the refusal stands
   */
  answer(
    url: URL,
    challenge: string,
    refused: Secret | undefined,
    options: { signal: AbortSignal },
  ): Promise<Secret | undefined>;
}
