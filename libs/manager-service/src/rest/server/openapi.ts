import type { Doors, Route, RouteId } from '@d7y/manager-api';
import { failure, invalid, PREFIXES } from '@d7y/manager-api';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';

/** The document that describes the interface; its schemas are those that check requests and answers. */
export const swaggerOptions = (version: string): FastifyDynamicSwaggerOptions => ({
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Dragonfly manager',
      version,
      description:
        `Below ${PREFIXES.session} with a session, below ${PREFIXES.token} with a personal access token. ` +
        'Lists come in pages, with the links to others in `Link` and the number of rows in `X-Total-Count`.',
    },
    components: {
      securitySchemes: {
        session: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The token of a sign-in.' },
        cookie: { type: 'apiKey', in: 'cookie', name: 'jwt', description: 'The same, as browsers get it.' },
        token: { type: 'http', scheme: 'bearer', description: 'A personal access token: `dfp_…`.' },
      },
    },
  },
  transform: jsonSchemaTransform,
  transformObject: jsonSchemaTransformObject,
});

/** Nothing in the body. */
const EMPTY = z.null();

/** A stream of which each event is one of these. */
const eventsOf = (event: z.ZodType) => ({
  description: 'Server-sent events; `data` is JSON.',
  content: { 'text/event-stream': { schema: event } },
});

/** What fastify checks a request and its answer by, and documents. */
export function schemaOf(id: RouteId, route: Route, door: keyof Doors): object {
  const { params, query, headers, body, answer, event, access, summary } = route;
  const isProtected = access.kind !== 'open';
  const [group = ''] = id.split('.');
  return {
    operationId: door === 'token' ? `${id}.byToken` : id,
    tags: [group],
    summary,
    ...(isProtected && { security: door === 'token' ? [{ token: [] }] : [{ session: [] }, { cookie: [] }] }),
    ...(params && { params }),
    ...(query && { querystring: query }),
    ...(headers && { headers }),
    ...(body && { body }),
    response: {
      200: event === undefined ? (answer ?? EMPTY) : eventsOf(event),
      ...(isProtected && { 401: failure, 403: failure }),
      ...(params && { 404: failure }),
      ...(route.method !== 'GET' && { 409: failure }),
      ...((params ?? query ?? headers ?? body) && { 422: invalid }),
      429: failure,
      500: failure,
      503: failure,
    },
  };
}
