/** A target apart: the path, and the query without its question mark. */
export function splitTarget(target: string): { readonly path: string; readonly search: string } {
  const query = target.indexOf('?');
  if (query === -1) return { path: target, search: '' };
  return { path: target.slice(0, query), search: target.slice(query + 1) };
}

export function joinQuery(path: string, search: string): string {
  return search === '' ? path : `${path}?${search}`;
}

export function queryParameter(search: string, name: string): string | undefined {
  return new URLSearchParams(search).get(name) ?? undefined;
}

/** Takes a parameter out of a query and leaves every other byte as it was: signatures may cover them. */
export function withoutParameter(search: string, name: string): string {
  return mapParameter(search, name, () => undefined);
}

/** Replaces the pairs of one name, or removes them. @param map gets the decoded value, gives the encoded pair */
export function mapParameter(search: string, name: string, map: (value: string) => string | undefined): string {
  return search
    .split('&')
    .map((pair) => {
      const value = pair === '' ? undefined : new URLSearchParams(pair).get(name);
      return value === null ? pair : value === undefined ? undefined : map(value);
    })
    .filter((pair) => pair !== undefined)
    .join('&');
}
