import { swarm } from '@d7y/api';
import { EncodedSource } from '../messages/encoded-source.ts';
import { readerOf, readWhole } from '../messages/message-table.ts';
import type { WireReader } from '../messages/wire-reader.ts';

/** Those that come most. */
const USUAL = ['register', 'started', 'havePieces', 'finished'];
/** What a task's source says is read only when somebody asks for it. */
const LAZILY = {
  [swarm.TaskSourceSchema.typeName]: (reader: WireReader) => new EncodedSource(reader.characters()),
};
const read = readerOf(swarm.LinkRequestSchema, LAZILY, USUAL);

/**
 * Reads the messages of daemons that come most: registrations, and what becomes of them.
 * @returns undefined for all others, and for what is in any way out of the ordinary
 */
export const readLinkRequest = (bytes: Buffer): swarm.LinkRequest | undefined => readWhole(read, bytes);
