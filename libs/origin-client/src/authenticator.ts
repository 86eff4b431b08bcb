import type { Secret } from '@d7y/service-kit';

/** As whom a server is to be convinced: by a user name and password (the value of a Basic authorization), or as nobody in particular. */
export type Account = Secret | undefined;

/** Knows how to convince a server that wants a token, on behalf of callers who bring none. */
export interface Authenticator {
  /** The authorization that a request for this URL will need, as far as that is known by now. */
  known(url: URL, account: Account): Secret | undefined;
  /**
   * Answers a refusal.
   * @param challenge WWW-Authenticate of the 401
   * @param refused the authorization that was sent and did not do
   * @returns another one to try, or undefined when the refusal stands
   */
  answer(
    url: URL,
    challenge: string,
    { account, refused }: { account: Account; refused: Secret | undefined },
    options: { signal: AbortSignal },
  ): Promise<Secret | undefined>;
}
