import { isIPv6 } from 'node:net';

// The rule is that of Go's net/url: what stock servers take must pass here, what they refuse must not. WHATWG's URL
// differs both ways (it takes "http:x" as "http://x/" and refuses "scheme://host:99999"), so this follows RFC 3986 as
// Go reads it.

/** Scheme, then everything up to a fragment. */
const SCHEMED = /^[a-zA-Z][a-zA-Z0-9+.-]*:([^#]*)(?:#([^]*))?$/;
const BAD_ESCAPE = /%(?![0-9a-fA-F]{2})/;
const USER_INFO = /^[a-zA-Z0-9\-._:~!$&'()*+,;=%@]*$/;
/** ASCII that a registered name may hold beside letters, digits and escapes; anything beyond ASCII passes. */
const HOST = /^(?:[a-zA-Z0-9\-._~!$&'()*+,;=:[\]<>"]|%(?:25|[89a-fA-F][0-9a-fA-F])|[\u0080-\uffff])*$/;
const PORT = /^(?::[0-9]*)?$/;
const ZONE = /^(?:[a-zA-Z0-9\-._~!$&'()*+,;=:<>"]|%[0-9a-fA-F]{2})*$/;

/** True for an absolute URI: a scheme and a rest that parses. */
export function isAbsoluteUri(text: string): boolean {
  const [, rest, fragment = ''] = SCHEMED.exec(text) ?? [];
  if (rest === undefined || hasControlCharacter(rest) || BAD_ESCAPE.test(fragment)) return false;
  const hierarchy = beforeFirst(rest, '?'); // nothing is asked of a query
  if (!hierarchy.startsWith('/')) return true; // opaque, such as urn:isbn:0
  if (!hierarchy.startsWith('//')) return !BAD_ESCAPE.test(hierarchy);
  const authority = beforeFirst(hierarchy.slice(2), '/');
  return isAuthority(authority) && !BAD_ESCAPE.test(hierarchy.slice(2 + authority.length));
}

function isAuthority(authority: string): boolean {
  const at = authority.lastIndexOf('@');
  const userInfo = at < 0 ? '' : authority.slice(0, at);
  return USER_INFO.test(userInfo) && !BAD_ESCAPE.test(userInfo) && isHostPort(authority.slice(at + 1));
}

function isHostPort(text: string): boolean {
  if (!text.startsWith('[')) {
    const colon = text.lastIndexOf(':');
    return colon < 0 ? HOST.test(text) : HOST.test(text.slice(0, colon)) && PORT.test(text.slice(colon));
  }
  const close = text.lastIndexOf(']');
  if (close < 0 || !PORT.test(text.slice(close + 1))) return false;
  const [address = '', ...zone] = text.slice(1, close).split('%25');
  return isIPv6(address) && ZONE.test(zone.join('%25'));
}

function beforeFirst(text: string, mark: string): string {
  const at = text.indexOf(mark);
  return at < 0 ? text : text.slice(0, at);
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return true;
  }
  return false;
}
