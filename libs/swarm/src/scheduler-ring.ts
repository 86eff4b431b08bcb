import { AddressFormatError } from './errors.ts';
import { sipHash24 } from './sip-hash.ts';

/** Characters of the task id that decide on its scheduler. */
const KEY_CHARACTERS = 5;

/** Which scheduler a task belongs to. All daemons of a cluster, stock ones too, must agree, or a task falls into two swarms. */
export interface SchedulerRing {
  /** Addresses, each once, the owner of the task first, then whoever takes over when those before are gone. */
  ordered(taskId: string): readonly string[];
}

/**
 * The ring that stock daemons use: one point per scheduler, SipHash-2-4 with a zero key over the address as Rust's
 * standard library hashes a socket address; a task belongs to the first point at or after that of its id's first five
 * characters.
 * @param addresses `10.0.0.1:8002` or `[2001:db8::1]:8002`; duplicates count once
 * @throws {AddressFormatError}
 */
export function schedulerRing(addresses: Iterable<string>): SchedulerRing {
  const points = [...new Set(addresses)]
    .map((address) => ({ address, hash: schedulerPoint(address) }))
    .sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0));
  return {
    ordered(taskId) {
      const key = schedulerKey(taskId);
      const first = points.findIndex(({ hash }) => hash >= key);
      const start = first < 0 ? 0 : first;
      return [...points.slice(start), ...points.slice(0, start)].map(({ address }) => address);
    },
  };
}

/** Point of a scheduler on the ring. @throws {AddressFormatError} */
export function schedulerPoint(address: string): bigint {
  const [, ip6, ip4, portText] = /^(?:\[([0-9a-fA-F:.]+)\]|(\d+\.\d+\.\d+\.\d+)):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(portText);
  if (portText === undefined || port > 65_535) throw new AddressFormatError(address);
  const ip = ip4 === undefined ? parseIpv6(ip6 ?? '') : parseIpv4(ip4);
  if (ip === undefined) throw new AddressFormatError(address);
  // Tag of the address family (u64), the address, the port (u16), for IPv6 flow label and scope (u32 each); little-endian.
  const bytes = new Uint8Array(8 + ip.length + 2 + (ip.length === 16 ? 8 : 0));
  bytes[0] = ip.length === 16 ? 1 : 0;
  bytes.set(ip, 8);
  new DataView(bytes.buffer).setUint16(8 + ip.length, port, true);
  return sipHash24(bytes);
}

/** Where a task's id falls on the ring. */
export function schedulerKey(taskId: string): bigint {
  return sipHash24(Uint8Array.of(...new TextEncoder().encode(taskId.slice(0, KEY_CHARACTERS)), 0xff));
}

function parseIpv4(text: string): Uint8Array | undefined {
  const bytes = text.split('.').map(Number);
  return bytes.length === 4 && bytes.every((byte) => byte <= 255) ? Uint8Array.from(bytes) : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const tail = dotted?.[2] === undefined ? undefined : parseIpv4(dotted[2]);
  if (dotted !== null && tail === undefined) return undefined;
  const plain =
    tail === undefined
      ? text
      : `${dotted?.[1] ?? ''}${[0, 2].map((at) => (((tail[at] ?? 0) << 8) | (tail[at + 1] ?? 0)).toString(16)).join(':')}`;
  const halves = plain.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const [head = [], rest] = halves;
  const missing = 8 - head.length - (rest?.length ?? 0);
  if (halves.length > 2 || (rest === undefined ? missing !== 0 : missing < 1)) return undefined;
  const groups = rest === undefined ? head : [...head, ...new Array<string>(missing).fill('0'), ...rest];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [index, group] of groups.entries()) view.setUint16(index * 2, Number.parseInt(group, 16));
  return bytes;
}
