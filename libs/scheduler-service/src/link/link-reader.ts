import { swarm } from '@d7y/api';
import { EncodedSource } from '../messages/encoded-source.ts';
import { readerOf } from '../messages/message-table.ts';
import type { Read } from '../messages/message-table.ts';
import { UnusualMessage, WireReader } from '../messages/wire-reader.ts';

/** The kinds that are read here: those that come most. */
const KINDS = ['register', 'started', 'havePieces', 'finished'] as const;

/** What a task's source says is read only when somebody asks for it. */
const LAZILY = {
  [swarm.TaskSourceSchema.typeName]: (reader: WireReader) => new EncodedSource(reader.characters()),
};

const LENGTH_DELIMITED = 2;

/** By field number and wire type of the kind, as they stand together on the wire. */
const REQUESTS: { readonly kind: (typeof KINDS)[number]; readonly read: Read }[] = [];
for (const kind of KINDS) {
  const { number, message } = swarm.LinkRequestSchema.field[kind];
  if (message !== undefined) REQUESTS[number * 8 + LENGTH_DELIMITED] = { kind, read: readerOf(message, LAZILY) };
}

/**
 * Reads the messages of daemons that come most: registrations, and what becomes of them.
 * @returns undefined for all others, and for what is in any way out of the ordinary
 */
export function readLinkRequest(bytes: Buffer): swarm.LinkRequest | undefined {
  try {
    const reader = new WireReader(bytes);
    const request = REQUESTS[reader.number()];
    if (request === undefined) return undefined;
    const value = reader.message(request.read);
    if (reader.hasMore) return undefined;
    return {
      $typeName: 'd7y.swarm.v1.LinkRequest',
      request: { case: request.kind, value } as swarm.LinkRequest['request'],
    };
  } catch (error) {
    if (error instanceof UnusualMessage) return undefined;
    throw error;
  }
}
