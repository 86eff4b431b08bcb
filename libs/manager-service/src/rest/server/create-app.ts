import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import cookie from '@fastify/cookie';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { HttpHandler, Logger } from '@d7y/service-kit';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { TooManyRequestsError } from '../errors.ts';
import { answerErrors } from './answer-errors.ts';
import type { RequestObserver } from './observe-requests.ts';
import { swaggerOptions } from './openapi.ts';
import { swaggerFiles } from './swagger-files.ts';

export interface AppOptions {
  readonly logger: Logger;
  readonly observer: RequestObserver;
  readonly version: string;
  /** Told in `X-Server-IP`. */
  readonly serverIp: string;
  /** Answers go out over TLS, and browsers shall insist on that. */
  readonly isTls: boolean;
  /** Addresses and networks of proxies in front, whose headers are believed. */
  readonly trustedProxies: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly limits: AppLimits;
}

export interface AppLimits {
  readonly maxBodyBytes: number;
  /** Until a request is answered 503. */
  readonly handlerTimeoutMs: number;
  /** Requests of one client address in ten seconds. */
  readonly requestsPerClient: number;
}

export interface App {
  readonly fastify: FastifyInstance;
  /** What a listener has to call. */
  readonly handler: HttpHandler;
}

export const SWAGGER_PREFIX = '/swagger';
const CLIENT_WINDOW_MS = 10_000;
/** Client addresses whose requests are counted. */
const MAX_CLIENTS = 10_000;
/** Ids in paths and names of roles; nothing that we answer is longer. */
const MAX_PARAMETER_LENGTH = 256;

/** A server without routes, but with everything that all of them share. Nothing listens yet. */
export async function createApp(options: AppOptions): Promise<App> {
  const { logger, observer, limits } = options;
  let handle: HttpHandler | undefined;
  const app = fastify({
    // The connections belong to a listener, which also switches protocols, renews certificates and drains; this server never listens.
    serverFactory: (handler) => {
      handle = handler;
      return createServer();
    },
    logger: false,
    bodyLimit: limits.maxBodyBytes,
    handlerTimeout: limits.handlerTimeoutMs,
    routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
    trustProxy: options.trustedProxies.length === 0 ? false : [...options.trustedProxies],
    genReqId: () => randomUUID(),
    return503OnClosing: true,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(answerErrors(logger));
  readOnlyJson(app);

  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({ 'x-server-ip': options.serverIp, 'x-request-id': request.id });
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? '';
    const { method } = request;
    const [status, tookMs] = [reply.statusCode, reply.elapsedTime];
    const requestBytes = Number(request.headers['content-length']) || 0;
    const answerBytes = Number(reply.getHeader('content-length')) || 0;
    observer.ended(request.raw, { method, route, status, tookMs, requestBytes, answerBytes });
    if (logger.isLevelEnabled('debug'))
      logger.debug({ requestId: request.id, method, route, status, tookMs }, 'request');
  });

  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        baseUri: ["'self'"],
        connectSrc: ["'self'"],
        fontSrc: ["'self'", 'data:'],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        imgSrc: ["'self'", 'data:'],
        objectSrc: ["'none'"],
        scriptSrc: ["'self'"],
        // Components set styles of their own; nothing can be run by them.
        styleSrc: ["'self'", "'unsafe-inline'"],
      },
    },
    hsts: options.isTls,
  });
  if (options.allowedOrigins.length > 0)
    await app.register(cors, {
      origin: [...options.allowedOrigins],
      credentials: true,
      exposedHeaders: ['Link', 'X-Total-Count', 'X-Incomplete', 'X-Deduplicated', 'X-Request-Id', 'Retry-After'],
    });
  await app.register(cookie);
  await app.register(rateLimit, {
    max: limits.requestsPerClient,
    timeWindow: CLIENT_WINDOW_MS,
    cache: MAX_CLIENTS,
    addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    addHeadersOnExceeding: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    errorResponseBuilder: (_request, { ttl }) => new TooManyRequestsError('too many requests, slow down', ttl),
  });
  await app.register(swagger, swaggerOptions(options.version));
  const files = swaggerFiles();
  if (files === undefined) logger.warn('the files of the Swagger page are missing; the document itself is there');
  else await app.register(swaggerUi, { routePrefix: SWAGGER_PREFIX, baseDir: files, logo: null as never });
  app.get(`${SWAGGER_PREFIX}/doc.json`, { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json').send(app.swagger()),
  );

  app.setNotFoundHandler({ preHandler: app.rateLimit() }, (_request, reply) =>
    reply.code(404).send({ message: 'there is nothing here' }),
  );
  if (handle === undefined) throw new Error('the server has no handler');
  return { fastify: app, handler: observer.traced(handle) };
}

/** JSON, also where a client does not say so; a form of a foreign page is never taken for it. */
function readOnlyJson(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain');
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined);
    else void parse(request, body as string, done);
  });
}
