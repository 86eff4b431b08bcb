import { scheduler } from '@d7y/api';
import { readerOf, readWhole } from './message-table.ts';

/** Those that come most. */
const USUAL = [
  'registerPeerRequest',
  'downloadPeerStartedRequest',
  'downloadPeerFinishedRequest',
  'downloadPieceFinishedRequest',
];
const read = readerOf(scheduler.AnnouncePeerRequestSchema, {}, USUAL);

/**
 * Reads the messages of stock peers that come most: registrations, and what becomes of them.
 * @returns undefined for all others, and for what is in any way out of the ordinary
 */
export const readAnnouncement = (bytes: Buffer): scheduler.AnnouncePeerRequest | undefined => readWhole(read, bytes);
