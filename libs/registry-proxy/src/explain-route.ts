import { taskIdOfRequest } from '@d7y/peer-engine';
import { portOf, type UpstreamGuard } from '@d7y/service-kit';
import type { ProxyRule, RegistryProxyConfig } from './config.ts';
import { parseDragonflyHeaders } from './dragonfly-headers.ts';
import { routeOf } from './route.ts';
import { targetOf } from './target.ts';
import { taskRequestOf } from './task-request.ts';

/** What the proxy would do with a GET for a URL. */
export interface RouteExplanation {
  /** `manifest`: from what is remembered of tags and digests; `direct`: straight from the upstream. */
  readonly kind: 'task' | 'manifest' | 'direct';
  readonly why: string;
  /** Scheme, authority and path at the upstream. */
  readonly upstream: string;
  /** The rule that decided: its number from 0, and its expression. */
  readonly rule: { readonly index: number; readonly regex: string } | undefined;
  readonly taskId: string | undefined;
}

/**
 * Follows a request through the decisions of the proxy, without sending anything.
 * @param url absolute, or the path and query that a mirror's client would send
 * @throws {ProxyRequestError} @throws {UpstreamRefusedError} what the client would be told
 */
export function explainRoute(
  url: string,
  { rules, config, guard }: { rules: readonly ProxyRule[]; config: RegistryProxyConfig; guard: UpstreamGuard },
): RouteExplanation {
  const headers = {};
  const asked = parseDragonflyHeaders(headers);
  const target = targetOf({ url, headers }, {}, config);
  guard.checkNamed(target.upstream.hostname, portOf(target.upstream));
  const route = routeOf({ method: 'GET', headers, target, asked }, rules, config);
  const upstream = `${target.upstream.origin}${target.upstream.pathname}`;
  const index = rules.findIndex(({ regex }) => regex.test(upstream));
  const rule =
    rules[index] === undefined ? undefined : { index, regex: rules[index].regex.source.replaceAll('\\/', '/') };
  if (route.kind === 'direct') return { kind: 'direct', why: route.why, upstream, rule, taskId: undefined };
  if (route.kind === 'manifest')
    return { kind: 'manifest', why: 'it is a manifest', upstream, rule, taskId: undefined };
  const access = { isPrivate: false, credentials: {}, isAccepted: true };
  return {
    kind: 'task',
    why: `rule ${index + 1} matches`,
    upstream,
    rule,
    taskId: taskIdOfRequest(taskRequestOf(route.task, access, undefined, config)),
  };
}
