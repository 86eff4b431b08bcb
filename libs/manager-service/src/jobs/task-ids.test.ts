import { DEFAULT_FILTERED_QUERY_PARAMS } from '@d7y/piece';
import { taskIdFor } from '@d7y/preheat';
import { explainRoute, type ProxyRule, REGISTRY_PROXY_DEFAULTS } from '@d7y/registry-proxy';
import { UpstreamGuard } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';

const DIGEST = '1'.repeat(64);
const PATH = `/v2/org/app/blobs/sha256:${DIGEST}`;
const BLOB = `https://ghcr.io${PATH}`;
const FILE = 'https://files.example/models/weights.bin';
const SIGNED = `${FILE}?version=2&X-Amz-Signature=planted&X-Amz-Date=20260101T000000Z`;

const rule = (regex: RegExp, more: Partial<ProxyRule> = {}): ProxyRule => ({
  ...{ regex, useTls: false, direct: false, redirect: undefined, filteredQueryParams: DEFAULT_FILTERED_QUERY_PARAMS },
  ...more,
});
const BLOBS = rule(/blobs\/sha256.*/);
const FILES = rule(/models\/.*/);

/** The task under which a proxy with these rules looks for what a client asks it for. */
const pulled = (url: string, rules: readonly ProxyRule[], byDigest: boolean): string | undefined =>
  explainRoute(url, {
    rules,
    config: { ...REGISTRY_PROXY_DEFAULTS, enableTaskIdBasedBlobDigest: byDigest },
    guard: new UpstreamGuard(),
  }).taskId;

/** The task that a preheat of a URL brings to the hosts. */
const preheated = (url: string, byDigest: boolean, filteredQueryParams = DEFAULT_FILTERED_QUERY_PARAMS): string =>
  taskIdFor(url, { tag: undefined, application: undefined, pieceLength: undefined, filteredQueryParams }, byDigest);

describe.each([
  ['blobs known by their digest', true],
  ['blobs known by their URL', false],
])('a pull finds what was preheated, %s', (_, byDigest) => {
  it.each([
    ['of a client with a proxy', BLOB],
    ['of a mirror that says which registry', `${PATH}?ns=ghcr.io`],
    ['by a path that begins with the registry', PATH.replace('/v2/', '/v2/ghcr.io/')],
    ['of a client that speaks to its proxy without TLS', BLOB.replace('https:', 'http:')],
  ])('%s', (_way, url) => {
    const rules = [rule(BLOBS.regex, { useTls: url.startsWith('http:') })];
    const { upstream } = explainRoute(url, { rules, config: REGISTRY_PROXY_DEFAULTS, guard: new UpstreamGuard() });
    expect(upstream.replace('http:', 'https:')).toBe(BLOB);
    expect(pulled(url, rules, byDigest)).toBe(preheated(BLOB, byDigest));
  });

  it('of a registry that a rule redirects, under the URL that it is redirected to', () => {
    const rules = [rule(BLOBS.regex, { redirect: 'mirror.example:5000' })];
    expect(pulled(BLOB, rules, byDigest)).toBe(preheated(`https://mirror.example:5000${PATH}`, byDigest));
  });

  it('of a file with a signature that is another one each time', () => {
    const again = SIGNED.replace('planted', 'another').replace('20260101', '20270101');
    expect(pulled(again, [FILES], byDigest)).toBe(preheated(SIGNED, byDigest));
    expect(pulled(SIGNED.replace('version=2', 'version=3'), [FILES], byDigest)).not.toBe(preheated(SIGNED, byDigest));
  });

  it('of a file under a rule with parameters of its own, when the preheat names them too', () => {
    const own = ['token'];
    const rules = [rule(FILES.regex, { filteredQueryParams: own })];
    const url = `${FILE}?version=2&token=one`;
    expect(pulled(url.replace('one', 'two'), rules, byDigest)).toBe(preheated(url, byDigest, own));
    expect(pulled(url, rules, byDigest)).not.toBe(preheated(url, byDigest));
  });
});

it('says what a blob is known by: its digest, or its URL', () => {
  expect(pulled(BLOB, [BLOBS], true)).toBe(DIGEST);
  expect(pulled(BLOB, [BLOBS], false)).not.toBe(DIGEST);
});
