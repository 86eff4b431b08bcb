import type { IncomingMessage, ServerResponse } from 'node:http';

/** Answers one HTTP request. A rejection or an exception becomes status 500 where the response has not begun. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface HttpRoute {
  /** Upper case. GET answers HEAD too. */
  readonly method: string;
  /** Exact, without query; one that ends in `/*` takes everything below. */
  readonly path: string;
  readonly handler: HttpHandler;
}

/** Chooses a handler by path and method; answers 404 or 405 in one line where there is none. */
export function createHttpHandler(routes: readonly HttpRoute[]): HttpHandler {
  const exact = new Map<string, HttpRoute[]>();
  const below: { prefix: string; routes: HttpRoute[] }[] = [];
  for (const route of routes) {
    if (route.path.endsWith('/*')) {
      const prefix = route.path.slice(0, -1);
      const group = below.find((other) => other.prefix === prefix);
      if (group === undefined) below.push({ prefix, routes: [route] });
      else group.routes.push(route);
    } else exact.set(route.path, [...(exact.get(route.path) ?? []), route]);
  }
  below.sort((left, right) => right.prefix.length - left.prefix.length);
  return (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const found = exact.get(path) ?? below.find(({ prefix }) => path.startsWith(prefix))?.routes;
    if (found === undefined) return sendLine(response, 404, 'not found');
    const route =
      found.find(({ method }) => method === request.method) ??
      (request.method === 'HEAD' ? found.find(({ method }) => method === 'GET') : undefined);
    if (route !== undefined) return route.handler(request, response);
    return sendLine(response, 405, 'method not allowed', { allow: found.map(({ method }) => method).join(', ') });
  };
}

/** Ends the response with a status and one line of plain text. */
export function sendLine(
  response: ServerResponse,
  status: number,
  line: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = `${line}\n`;
  response
    .writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      ...headers,
    })
    .end(body);
}
