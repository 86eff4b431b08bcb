import { crc32 } from 'node:zlib';

/**
 * The byte that the piece protocol has for a packet's id, derived from a host id: a parent can tell apart children that
 * share an address. Stock peers send anything here and read nothing.
 */
export function packetIdOf(hostId: string): number {
  return crc32(hostId) & 0xff;
}
