import type { OriginClient } from '@d7y/origin-client';
import { type OriginRequest, OriginStatusError } from '@d7y/peer-engine';
import type { DaemonMetrics } from './daemon-metrics.ts';

/** An origin without its connections. */
export type AskedOrigin = Pick<OriginClient, 'probe' | 'head' | 'fetch'>;

/** An origin whose requests are counted: a question about the content as HEAD, the content itself as GET. */
export function countedOrigin<Inner extends AskedOrigin>(inner: Inner, metrics: DaemonMetrics): AskedOrigin {
  const count = async <T>(request: OriginRequest, method: 'HEAD' | 'GET', work: Promise<T>): Promise<T> => {
    const startedAtMs = performance.now();
    const end = (failed: boolean): void =>
      metrics.backendAnswered(schemeOf(request.url), method, { failed, durationMs: performance.now() - startedAtMs });
    try {
      const answer = await work;
      end(false);
      return answer;
    } catch (error) {
      // A refusal is an answer: only an origin that does not serve anybody failed.
      end(!(error instanceof OriginStatusError) || error.status >= 500);
      throw error;
    }
  };
  return {
    probe: (request, options) => count(request, 'HEAD', inner.probe(request, options)),
    head: (request, options) => count(request, 'HEAD', inner.head(request, options)),
    fetch: (request, range, options) => count(request, 'GET', inner.fetch(request, range, options)),
  };
}

function schemeOf(url: string): 'http' | 'https' | 'other' {
  if (/^https:/i.test(url)) return 'https';
  return /^http:/i.test(url) ? 'http' : 'other';
}
