import { OriginStatusError } from '@d7y/peer-engine';
import type { Exchange } from './exchange.ts';
import { refusalHeaders } from './header-rules.ts';

/** The error for an answer that is not the content. */
export function refused(url: string, { status, headers }: Exchange): OriginStatusError {
  return new OriginStatusError(url, status, refusalHeaders(headers));
}
