import { DfError } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import { safeText } from '@d7y/service-kit';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { STATUS_CODES } from './status-codes.ts';

const INTERNAL = { message: 'internal error' } as const;
/** Problems that one answer names; more would only repeat them. */
const MAX_PROBLEMS = 20;
/** What the framework refuses before a handler sees it. */
const CLIENT_ERRORS: Readonly<Record<string, { readonly status: number; readonly text: string }>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: { status: 422, text: 'body is no JSON' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { status: 422, text: 'body is empty' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { status: 400, text: 'content-length does not match the body' },
  FST_ERR_CTP_BODY_TOO_LARGE: { status: 413, text: 'body is too large' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { status: 415, text: 'only application/json is understood' },
  FST_ERR_HANDLER_TIMEOUT: { status: 503, text: 'this took too long' },
};

/** Turns whatever was thrown into the body and status that clients know. Nothing that is not meant for them leaves. */
export const answerErrors =
  (logger: Logger) =>
  (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    if (hasZodFastifySchemaValidationErrors(error)) return sendInvalid(reply, problemsOf(error));
    const known = CLIENT_ERRORS[error.code];
    if (known !== undefined) {
      return known.status === 422
        ? sendInvalid(reply, known.text)
        : reply.code(known.status).send({ message: known.text });
    }
    if (error instanceof SyntaxError && error.statusCode === 400) return sendInvalid(reply, 'body is no JSON');
    if (error instanceof DfError) {
      const status = STATUS_CODES[error.code];
      if (status !== undefined) return sendKnown(error, status, reply);
    }
    if (typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500)
      return reply.code(error.statusCode).send({ message: safeText(error.message) });
    logger.error({ err: error, requestId: request.id, route: request.routeOptions.url }, 'request failed');
    return reply.code(500).send(INTERNAL);
  };

function sendKnown(error: DfError, status: number, reply: FastifyReply): FastifyReply {
  const message = safeText(error.message);
  const { retryAfterMs } = error as { retryAfterMs?: unknown };
  if (typeof retryAfterMs === 'number')
    void reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  else if (status === 503) void reply.header('retry-after', '1');
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  return status === 422 ? sendInvalid(reply, message) : reply.code(status).send({ message });
}

const sendInvalid = (reply: FastifyReply, errors: string): FastifyReply => reply.code(422).send({ errors });

function problemsOf(
  error: FastifyError & { validation: readonly { instancePath: string; message?: string }[] },
): string {
  const problems = error.validation.slice(0, MAX_PROBLEMS).map(({ instancePath, message }) => {
    const at = instancePath.replace(/^\//, '').replaceAll('/', '.');
    return `${at === '' ? '' : `${at}: `}${message ?? 'is not valid'}`;
  });
  return problems.join('; ');
}
