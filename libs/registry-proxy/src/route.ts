import type { IncomingHttpHeaders } from 'node:http';
import { blobDigestOf } from '@d7y/piece';
import { type AccessRequest, contentOf } from './access/access-request.ts';
import type { ProxyRule, RegistryProxyConfig } from './config.ts';
import type { DragonflyHeaders } from './dragonfly-headers.ts';
import { splitCredentials } from './http-headers.ts';
import { manifestOf, type RoutedManifest } from './manifests/routed-manifest.ts';
import type { WantedRange } from './ranges/open-ranged.ts';
import type { Target } from './target.ts';

/** Where a request goes. */
export type Route =
  | { readonly kind: 'direct'; readonly upstream: URL; readonly why: string }
  | { readonly kind: 'manifest'; readonly upstream: URL; readonly manifest: RoutedManifest }
  | { readonly kind: 'task'; readonly upstream: URL; readonly task: RoutedTask };

/** A request for content that the swarm carries. */
export interface RoutedTask {
  /** What the origin is asked for. */
  readonly url: string;
  readonly filteredQueryParams: readonly string[];
  readonly asked: DragonflyHeaders;
  /** `algorithm:encoded` when the URL is that of a registry blob. */
  readonly blobDigest: string | undefined;
  readonly range: WantedRange;
  readonly access: AccessRequest;
}

/** What a request asks for, once it is known where it goes and what its X-Dragonfly headers say. */
export interface AskedOf {
  readonly method: string | undefined;
  /** Those of the caller; what convinced this proxy is not among them. */
  readonly headers: IncomingHttpHeaders;
  readonly target: Target;
  readonly asked: DragonflyHeaders;
}

/** Decides by method, target and headers alone. */
export function routeOf(
  { method, headers, target, asked }: AskedOf,
  rules: readonly ProxyRule[],
  { manifests }: Pick<RegistryProxyConfig, 'manifests'>,
): Route {
  const { upstream } = target;
  const rule = rules.find(({ regex }) => regex.test(`${upstream.origin}${upstream.pathname}`));
  const direct = (why: string): Route => ({ kind: 'direct', upstream, why });
  if (rule?.direct) return direct('rule says direct');
  if (hasBody(headers)) return direct('request with a body');
  const download = new URL(upstream);
  if (rule?.useTls) download.protocol = 'https:';
  if (rule?.redirect !== undefined) download.host = rule.redirect;
  const manifest = manifests ? manifestOf({ method, headers }, download) : undefined;
  if (manifest !== undefined) return { kind: 'manifest', upstream: download, manifest };
  if (rule === undefined && !asked.useP2p) return direct('no rule');
  if (method !== 'GET') return direct('not GET');
  const filteredQueryParams = asked.filteredQueryParams ?? rule?.filteredQueryParams ?? [];
  const signing = new Set(filteredQueryParams.filter((name) => name !== 'ns'));
  const blobDigest = blobDigestOf(download.href);
  const split = splitCredentials(headers);
  return {
    kind: 'task',
    upstream,
    task: {
      url: download.href,
      filteredQueryParams,
      asked,
      blobDigest,
      range: { header: headers.range, ifRange: textOf(headers['if-range']) },
      access: {
        url: download.href,
        ...contentOf(download),
        ...split,
        signature: [...download.searchParams]
          .filter(([name]) => signing.has(name))
          .map(([name, value]) => `${name}=${value}`),
      },
    },
  };
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
