import type { X509Certificate } from 'node:crypto';
import type { common } from '@d7y/api';
import { digestInUrl } from '@d7y/peer-engine';
import { certificatesIn, CHAIN_LIMITS, type Logger, safeUrl } from '@d7y/service-kit';
import { InvalidDownloadError } from './task-request-message.ts';

/** Of whatever kind: managers of others put the subjects of a whole bundle there. */
const MAX_ENTRIES = 512;
/** What many requests have in common is a warning this often; in between it is told at debug. */
const WARN_INTERVAL_MS = 60_000;

/** Who names authorities. */
export interface NamingCaller {
  /** On the unix socket of this daemon. */
  readonly isLocal: boolean;
  /** Has content brought here and gets no byte of it. */
  readonly isForStore: boolean;
}

/**
 * Decides whose `certificate_chain` counts: the authorities by which the origin of a download may prove itself, beside those that everybody
 * trusts. Callers on the socket are trusted with that. Whoever reaches the network port could bring an authority of his own, and be the
 * registry himself: so there it counts only where he gets nothing, and where the URL itself says which bytes are right. A digest that he
 * names beside the URL does not do, since others who ask for that URL would get what he chose.
 */
export class NamedAuthorities {
  readonly #logger: Logger;
  #warnedAtMs = -Infinity;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * @returns PEM, the same for the same certificates; undefined where none are named, or they do not count
   * @throws {InvalidDownloadError} more than anybody needs
   */
  of({ certificateChain, url }: common.Download, { isLocal, isForStore }: NamingCaller): string | undefined {
    if (certificateChain.length === 0) return undefined;
    const certificates = this.#parsed(certificateChain, url);
    if (certificates.size === 0) return undefined;
    if (!isLocal && !(isForStore && digestInUrl(url) !== undefined)) {
      this.#sayIgnored(url);
      return undefined;
    }
    return [...certificates.values()].sort().join('');
  }

  /** By fingerprint. Schedulers and managers of others put subjects in place of certificates: these say nothing. */
  #parsed(chain: readonly Uint8Array[], url: string): ReadonlyMap<string, string> {
    const bytes = chain.reduce((sum, { length }) => sum + length, 0);
    if (chain.length > MAX_ENTRIES || bytes > CHAIN_LIMITS.bytes) throw tooMuch();
    const found: X509Certificate[] = [];
    let others = 0;
    for (const entry of chain) {
      try {
        found.push(...certificatesIn(entry));
      } catch {
        others++;
      }
    }
    if (found.length > CHAIN_LIMITS.certificates) throw tooMuch();
    if (others > 0) {
      this.#logger.debug({ url: safeUrl(url), entries: others }, 'not all of certificate_chain are certificates');
    }
    return new Map(found.map((certificate) => [certificate.fingerprint256, certificate.toString()]));
  }

  #sayIgnored(url: string): void {
    const nowMs = performance.now();
    const isNews = nowMs - this.#warnedAtMs >= WARN_INTERVAL_MS;
    if (isNews) this.#warnedAtMs = nowMs;
    this.#logger[isNews ? 'warn' : 'debug'](
      { url: safeUrl(url) },
      'certificate_chain is not used: from the network it counts for blobs that are kept for others; name the authority of the registry in proxy.registries[].cert',
    );
  }
}

function tooMuch(): InvalidDownloadError {
  const { certificates, bytes } = CHAIN_LIMITS;
  return new InvalidDownloadError(
    `download.certificate_chain: more than ${certificates} certificates, ${MAX_ENTRIES} entries or ${bytes} bytes`,
  );
}
