/** How a server wants to be convinced. */
export type Challenge =
  | {
      readonly scheme: 'bearer';
      /** Where tokens are given out. */
      readonly realm: string;
      readonly service: string | undefined;
      /** Space-separated, such as `repository:org/app:pull`. */
      readonly scope: string | undefined;
      /** Why the token that came was not enough (`insufficient_scope`, `invalid_token`). */
      readonly error: string | undefined;
    }
  | { readonly scheme: 'basic'; readonly realm: string | undefined }
  | { readonly scheme: 'other'; readonly name: string };

/** Longer headers than this are not read: no registry needs them. */
const MAX_HEADER_LENGTH = 8 * 1024;
const TOKEN = /[!#$%&'*+.^_`|~\w-]+/y;
const QUOTED = /"(?:[^"\\]|\\.)*"/y;
const TOKEN68 = /[\w.~+/-]+=*(?=\s*(?:,|$))/y;

/**
 * Parses WWW-Authenticate (RFC 9110 §11.6.1), which may hold several challenges. Reading stops at the first thing that is
 * malformed, without the challenge it is in; a bearer challenge without a realm is left out.
 */
export function parseChallenges(header: string): Challenge[] {
  if (header.length > MAX_HEADER_LENGTH) return [];
  const challenges: Challenge[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(header)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const skip = (characters: string): void => {
    while (at < header.length && characters.includes(header.charAt(at))) at++;
  };
  const takeParameter = (): [name: string, value: string] | undefined => {
    const start = at;
    const name = take(TOKEN);
    skip(' \t');
    if (name !== undefined && header[at] === '=') {
      at++;
      skip(' \t');
      const quoted = take(QUOTED);
      const value = quoted === undefined ? take(TOKEN) : quoted.slice(1, -1).replace(/\\(.)/g, '$1');
      if (value !== undefined) return [name.toLowerCase(), value];
    }
    at = start;
    return undefined;
  };

  for (;;) {
    skip(' \t,');
    const scheme = take(TOKEN);
    if (scheme === undefined) return challenges;
    if (at < header.length && !' \t,'.includes(header.charAt(at))) return challenges;
    skip(' \t');
    const parameters = new Map<string, string>();
    if (take(TOKEN68) === undefined) {
      for (let parameter = takeParameter(); parameter !== undefined;) {
        const [name, value] = parameter;
        if (!parameters.has(name)) parameters.set(name, value);
        skip(' \t');
        if (at < header.length && header[at] !== ',') return challenges;
        skip(' \t,');
        parameter = takeParameter();
      }
    }
    const challenge = toChallenge(scheme.toLowerCase(), parameters);
    if (challenge !== undefined) challenges.push(challenge);
  }
}

function toChallenge(name: string, parameters: ReadonlyMap<string, string>): Challenge | undefined {
  const realm = parameters.get('realm');
  if (name === 'basic') return { scheme: 'basic', realm };
  if (name !== 'bearer') return { scheme: 'other', name };
  if (realm === undefined) return undefined;
  const [service, scope, error] = ['service', 'scope', 'error'].map((parameter) => parameters.get(parameter));
  return { scheme: 'bearer', realm, service, scope, error };
}
