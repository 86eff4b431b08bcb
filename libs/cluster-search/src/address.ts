/** An address as numbers: 32 bits of IPv4, 128 of IPv6. IPv4 written as IPv6 (`::ffff:10.0.0.1`) is IPv4. */
export type Address = { readonly family: 4; readonly bits: number } | { readonly family: 6; readonly bits: bigint };

/** A network: the bits of its addresses that are fixed. IPv4 written as IPv6 is IPv4. */
export interface Network {
  readonly address: Address;
  /** Of the family's 32 or 128. */
  readonly prefixLength: number;
}

const MAPPED_PREFIX = 0xffffn;
const MAPPED_LENGTH = 96;

/** Reads an address; undefined where it is none. Addresses with a zone mean nothing to another host and are none. */
export function parseAddress(text: string): Address | undefined {
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined) return { family: 4, bits: ipv4 };
  const ipv6 = parseIpv6(text);
  if (ipv6 === undefined) return undefined;
  return ipv6 >> 32n === MAPPED_PREFIX ? { family: 4, bits: Number(ipv6 & 0xffff_ffffn) } : { family: 6, bits: ipv6 };
}

/** Reads `10.0.0.0/8`; bits beyond the prefix are dropped. Undefined where it is no network. */
export function parseNetwork(text: string): Network | undefined {
  const [, host = '', digits = ''] = /^([^/]*)\/(\d{1,3})$/.exec(text) ?? [];
  const isIpv6 = host.includes(':');
  const length = Number(digits);
  const address = parseAddress(host);
  if (address === undefined || digits === '' || length > (isIpv6 ? 128 : 32)) return undefined;
  // A prefix that is shorter than what makes IPv4 of it holds more than IPv4; it holds no IPv4 address then, as a network of IPv6.
  if (isIpv6 && address.family === 4) {
    if (length < MAPPED_LENGTH)
      return { address: { family: 6, bits: masked6(mapped(address.bits), length) }, prefixLength: length };
    return {
      address: { family: 4, bits: masked4(address.bits, length - MAPPED_LENGTH) },
      prefixLength: length - MAPPED_LENGTH,
    };
  }
  return address.family === 4
    ? { address: { family: 4, bits: masked4(address.bits, length) }, prefixLength: length }
    : { address: { family: 6, bits: masked6(address.bits, length) }, prefixLength: length };
}

/** The first `length` bits, the rest 0. */
export function masked4(bits: number, length: number): number {
  return length === 0 ? 0 : (bits & (0xffff_ffff << (32 - length))) >>> 0;
}

/** The same for IPv6. */
export function masked6(bits: bigint, length: number): bigint {
  const rest = BigInt(128 - length);
  return (bits >> rest) << rest;
}

const mapped = (bits: number): bigint => (MAPPED_PREFIX << 32n) | BigInt(bits);

const DOT = 46;
const ZERO = 48;

/** Of every daemon that asks, so without regular expressions. */
function parseIpv4(text: string): number | undefined {
  let bits = 0;
  let dots = 0;
  let part = -1; // no digit of it yet
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const digit = code - ZERO;
    if (digit >= 0 && digit <= 9) {
      // A leading zero is octal to some and decimal to others.
      if (part === 0) return undefined;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return undefined;
    } else {
      if (code !== DOT || part < 0) return undefined;
      bits = bits * 256 + part;
      dots++;
      part = -1;
    }
  }
  return dots === 3 && part >= 0 ? bits * 256 + part : undefined;
}

const GROUPS = 8;

function parseIpv6(text: string): bigint | undefined {
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text)) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(groupsOf);
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  if (tail === undefined) return head.length === GROUPS ? joined(head) : undefined;
  const missing = GROUPS - head.length - tail.length;
  return missing < 1 ? undefined : joined([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** The 16-bit groups of one side of a `::`. The last one may be written as IPv4. */
function groupsOf(text: string, side: number, { length }: readonly string[]): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1 && side === length - 1;
    const ipv4 = isLast ? parseIpv4(part) : undefined;
    if (ipv4 !== undefined) groups.push(ipv4 >>> 16, ipv4 & 0xffff);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

const joined = (groups: readonly number[]): bigint => groups.reduce((bits, group) => (bits << 16n) | BigInt(group), 0n);
