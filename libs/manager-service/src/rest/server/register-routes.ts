import type { OutgoingHttpHeaders } from 'node:http';
import type { Doors, RequestOf, Route, RouteId } from '@d7y/manager-api';
import { PREFIXES, ROUTE_IDS, ROUTES } from '@d7y/manager-api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Call, Handler, Handlers } from '../call.ts';
import type { Gate, Place } from '../auth/gate.ts';
import { bearerOf } from '../auth/bearer.ts';
import { pageLinks } from './page-links.ts';
import { schemaOf } from './openapi.ts';

/** Calls of one route that can be used for guessing, by one client address. */
const THROTTLED_PER_MINUTE = 60;

/** What is told of each call of a route that changes something or is about access. */
export interface CallOutcome {
  readonly id: RouteId;
  readonly request: FastifyRequest;
  readonly status: number;
}

export interface RegisterOptions {
  readonly handlers: Handlers;
  readonly gate: Gate;
  readonly onOutcome: (outcome: CallOutcome) => void;
}

/** Registers every route of the table at each of its doors. */
export function registerRoutes(app: FastifyInstance, options: RegisterOptions): void {
  for (const id of ROUTE_IDS) {
    const route: Route = ROUTES[id];
    for (const door of Object.keys(route.doors) as (keyof Doors)[]) registerRoute(app, { id, route, door, ...options });
  }
}

interface Registration extends RegisterOptions {
  readonly id: RouteId;
  readonly route: Route;
  readonly door: keyof Doors;
}

function registerRoute(app: FastifyInstance, registration: Registration): void {
  const { id, route, door, handlers, gate, onOutcome } = registration;
  const handler = handlers[id] as Handler<RouteId>;
  const place = { id, route, door };
  const isRecorded = route.method !== 'GET' || route.isAboutAccess === true;
  app.route({
    method: route.method,
    url: PREFIXES[door] + route.path,
    schema: schemaOf(id, route, door),
    config: { ...rateLimitOf(route, door) },
    // Nobody can look at a stream without having it begin.
    ...(route.event !== undefined && { exposeHeadRoute: false }),
    // Before anything is read or parsed for somebody who may not.
    onRequest: (request) => gate.letIn(request, place),
    preValidation: (request, _reply, done) => {
      dropEmptyParameters(request);
      done();
    },
    preHandler: (request, _reply, done) => {
      gate.checkBody(request, place);
      done();
    },
    ...(isRecorded && {
      onResponse: (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
        onOutcome({ id, request, status: reply.statusCode });
        done();
      },
    }),
    async handler(request, reply) {
      const answer = await handler(callOf(request, reply, gate, place));
      if (reply.sent) return reply;
      // A text would be sent as it is, without the quotes of JSON.
      if (typeof answer === 'string') return reply.code(200).type('application/json').send(JSON.stringify(answer));
      return reply.code(200).send(answer);
    },
  });
}

/** Guesses are few; who asks for health is not a client. */
function rateLimitOf({ isThrottled }: Route, door: keyof Doors): object {
  if (door === 'root') return { rateLimit: false };
  return isThrottled === true ? { rateLimit: { max: THROTTLED_PER_MINUTE, timeWindow: 60_000 } } : {};
}

/** In a query an empty value restricts nothing. */
function dropEmptyParameters(request: FastifyRequest): void {
  const query = request.query as Record<string, unknown>;
  for (const [name, value] of Object.entries(query)) if (value === '') delete query[name];
}

function callOf(request: FastifyRequest, reply: FastifyReply, gate: Gate, place: Place): Call<RouteId> {
  const { params, query, headers, body, ip, signal, cookies } = request;
  return {
    ...({ params, query, headers, body } as unknown as RequestOf<RouteId>),
    ...{ ip, signal, cookies },
    principal: gate.principalOf(request),
    bearer: bearerOf(request.headers),
    setHeader: (name, value) => void reply.header(name, value),
    setCookie: (name, value, options) => void reply.setCookie(name, value, options),
    setTotal(totalCount) {
      const { page, per_page: perPage } = query as { page: number; per_page: number };
      void reply.headers({
        link: pageLinks(request.url, { page, perPage, totalCount }),
        'x-total-count': String(totalCount),
      });
    },
    setActor: (name) => gate.setActor(request, name),
    topics: () => gate.topicsOf(request),
    letInAgain: () => gate.letIn(request, place),
    takeOver(more) {
      reply.hijack();
      reply.raw.writeHead(200, { ...(reply.getHeaders() as OutgoingHttpHeaders), ...more });
      return reply.raw;
    },
  };
}
