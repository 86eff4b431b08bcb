import { hostGlob } from '@d7y/service-kit';
import type { ProxyRule } from '../config.ts';

/** Whether what goes to a host within CONNECT is read here. */
export type Interception = (hostname: string, port: number) => boolean;

/**
 * Decides which hosts are intercepted: those of a list, or without a list those that a rule could match. Everybody else's bytes pass unread.
 * @param hosts patterns of `host` or `host:port`
 */
export function interceptionOf(hosts: readonly string[] | undefined, rules: readonly ProxyRule[]): Interception {
  if (hosts !== undefined) {
    const globs = hosts.map(hostGlob);
    return (hostname, port) => globs.some((matches) => matches(hostname, port));
  }
  return (hostname, port) => {
    const authority = port === 443 ? hostname.toLowerCase() : `${hostname.toLowerCase()}:${port}`;
    return rules.some((rule) => !rule.direct && couldMatch(rule.regex, authority));
  };
}

/** A pattern that begins with a scheme and an authority wants that one only; any other may find its words in any URL. */
function couldMatch(regex: RegExp, authority: string): boolean {
  const [, written] = /^\^?https?\??:\\?\/\\?\/((?:[a-z0-9:-]|\\?\.)+)\\?\/(?![*?+{])/i.exec(regex.source) ?? [];
  if (written === undefined || regex.source.includes('|')) return true;
  return new RegExp(`^${written}$`, 'i').test(authority);
}
