import type { IncomingMessage } from 'node:http';
import { DfError } from '@d7y/piece';
import { z } from 'zod';

/** A body is too long, no JSON, or not what is expected. */
export class BadRequestBodyError extends DfError {
  override readonly name = 'BadRequestBodyError';
  readonly code = 'INVALID_ARGUMENT';
  readonly retryable = false;
}

/**
 * Reads a request's body as JSON of a known shape.
 * @param maxBytes read at most
 * @throws {BadRequestBodyError}
 */
export async function readJsonBody<Schema extends z.ZodType>(
  request: IncomingMessage,
  schema: Schema,
  maxBytes: number,
): Promise<z.output<Schema>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new BadRequestBodyError(`a request of this kind has at most ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new BadRequestBodyError('the request is not JSON', { cause: error });
  }
  const read = schema.safeParse(json);
  if (!read.success) throw new BadRequestBodyError(z.prettifyError(read.error));
  return read.data;
}
