/** Which page of how many rows was asked for. */
export interface PageOf {
  readonly page: number;
  readonly perPage: number;
  readonly totalCount: number;
}

/**
 * The `Link` header of a page, as clients of the published manager parse it: `<URL>;rel=name` four times in the order prev, next, first,
 * last, joined by commas, without blanks and quotes. There is always a last page, and none after it.
 * @param url path and query of the request
 */
export function pageLinks(url: string, { page, perPage, totalCount }: PageOf): string {
  const [path = '', query = ''] = url.split('?', 2);
  const last = Math.max(1, Math.ceil(totalCount / perPage));
  const linkTo = (rel: string, number: number): string => {
    const parameters = new URLSearchParams(query);
    parameters.set('page', String(number));
    parameters.set('per_page', String(perPage));
    parameters.sort();
    return `<${path}?${encoded(parameters)}>;rel=${rel}`;
  };
  return [
    linkTo('prev', Math.max(1, page - 1)),
    linkTo('next', Math.min(page + 1, last)),
    linkTo('first', 1),
    linkTo('last', last),
  ].join(',');
}

/** As Go's url.Values write it: `~` stays, `*` does not; otherwise it is what browsers do. */
const encoded = (parameters: URLSearchParams): string =>
  parameters.toString().replaceAll('%7E', '~').replaceAll('*', '%2A');
