import { isIP } from 'node:net';

/** An IPv4 or IPv6 literal; addresses with a zone (`fe80::1%eth0`) mean nothing to another host and do not count. */
export function isIpLiteral(text: string): boolean {
  return !text.includes('%') && isIP(text) !== 0;
}

const LABEL = /^(?!-)[a-zA-Z0-9-]{1,63}(?<!-)$/;

/** A host name after RFC 1123, at most 253 characters, with or without the dot that ends a full name. */
export function isHostname(text: string): boolean {
  if (text.length > 253) return false;
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  return name.split('.').every((label) => LABEL.test(label));
}

/** Code points, as the wire's text rules count. */
export function codePointsIn(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
