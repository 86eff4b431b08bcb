import { scheduler } from '@d7y/api';
import { readerOf } from './message-table.ts';
import type { Read } from './message-table.ts';
import { UnusualMessage, WireReader } from './wire-reader.ts';

/** The kinds that are read here: those that come most. */
const KINDS = [
  'registerPeerRequest',
  'downloadPeerStartedRequest',
  'downloadPeerFinishedRequest',
  'downloadPieceFinishedRequest',
] as const;

const { field } = scheduler.AnnouncePeerRequestSchema;
const LENGTH_DELIMITED = 2;
/** By field number and wire type, as they stand together on the wire. */
const HOST_ID = field.hostId.number * 8 + LENGTH_DELIMITED;
const TASK_ID = field.taskId.number * 8 + LENGTH_DELIMITED;
const PEER_ID = field.peerId.number * 8 + LENGTH_DELIMITED;
const REQUESTS: { readonly kind: (typeof KINDS)[number]; readonly read: Read }[] = [];
for (const kind of KINDS) {
  const { number, message } = field[kind];
  if (message !== undefined) REQUESTS[number * 8 + LENGTH_DELIMITED] = { kind, read: readerOf(message) };
}

/**
 * Reads the messages of stock peers that come most: registrations, and what becomes of them.
 * @returns undefined for all others, and for what is in any way out of the ordinary
 */
export function readAnnouncement(bytes: Buffer): scheduler.AnnouncePeerRequest | undefined {
  try {
    const reader = new WireReader(bytes);
    let hostId = '';
    let taskId = '';
    let peerId = '';
    let request: scheduler.AnnouncePeerRequest['request'] = { case: undefined };
    while (reader.hasMore) {
      const tag = reader.number();
      if (tag === HOST_ID) hostId = reader.text();
      else if (tag === TASK_ID) taskId = reader.text();
      else if (tag === PEER_ID) peerId = reader.text();
      else {
        const said = REQUESTS[tag];
        if (said === undefined || request.case !== undefined) return undefined;
        request = { case: said.kind, value: reader.message(said.read) } as scheduler.AnnouncePeerRequest['request'];
      }
    }
    return { $typeName: 'scheduler.v2.AnnouncePeerRequest', hostId, taskId, peerId, request };
  } catch (error) {
    if (error instanceof UnusualMessage) return undefined;
    throw error;
  }
}
