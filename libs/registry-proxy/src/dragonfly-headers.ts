import type { IncomingHttpHeaders } from 'node:http';
import { MAX_PIECE_LENGTH, MIN_PIECE_LENGTH } from '@d7y/piece';
import { parseByteSize } from '@d7y/service-kit';
import { ProxyRequestError } from './errors.ts';

/** What a caller asks by X-Dragonfly headers. */
export interface DragonflyHeaders {
  readonly tag: string | undefined;
  readonly application: string | undefined;
  /** 0–6; 6 when absent or unreadable. */
  readonly priority: number;
  readonly registry: string | undefined;
  /** Takes the place of the rule's list. */
  readonly filteredQueryParams: readonly string[] | undefined;
  /** Through the swarm although no rule matches. */
  readonly useP2p: boolean;
  /** Whether to fetch the whole of what a range is asked of. */
  readonly prefetch: boolean | undefined;
  readonly pieceLength: number | undefined;
  readonly contentForCalculatingTaskId: string | undefined;
  readonly enableTaskIdBasedBlobDigest: boolean | undefined;
}

/** Priority of a request that names none: a seed is asked first. */
const DEFAULT_PRIORITY = 6;

/**
 * Reads the X-Dragonfly headers of a request.
 * @throws {ProxyRequestError} 400 for a piece length that no task can have, 403 for what a proxy must not do on a caller's word
 */
export function parseDragonflyHeaders(headers: IncomingHttpHeaders): DragonflyHeaders {
  const text = (name: string): string | undefined => {
    const value = headers[`x-dragonfly-${name}`];
    return Array.isArray(value) ? value.join(',') : value;
  };
  const isTrue = (name: string): boolean | undefined => {
    const value = text(name)?.trim().toLowerCase();
    return value === undefined ? undefined : value === 'true';
  };
  for (const name of ['output-path', 'force-hard-link']) {
    // Whoever reaches the port could link content to any path of the file system.
    if (text(name) !== undefined)
      throw new ProxyRequestError(403, `x-dragonfly-${name} is not allowed through the proxy`);
  }
  return {
    tag: text('tag'),
    application: text('application'),
    priority: /^[0-6]$/.test(text('priority')?.trim() ?? '') ? Number(text('priority')) : DEFAULT_PRIORITY,
    registry: text('registry'),
    filteredQueryParams: text('filtered-query-params')
      ?.split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
    useP2p: isTrue('use-p2p') ?? false,
    prefetch: isTrue('prefetch'),
    pieceLength: pieceLengthOf(text('piece-length')),
    contentForCalculatingTaskId: taskContentOf(text('content-for-calculating-task-id')),
    enableTaskIdBasedBlobDigest: isTrue('enable-task-id-based-blob-digest'),
  };
}

/**
 * Ids of tasks without such a content are made of a URL and what follows it: a caller who could name one would put bytes of another URL in its
 * place for everybody, or ask other nodes for what its origin does not give him.
 */
function taskContentOf(text: string | undefined): string | undefined {
  if (text !== undefined && /^\s*[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw new ProxyRequestError(400, 'x-dragonfly-content-for-calculating-task-id must not begin like a URL');
  }
  return text;
}

function pieceLengthOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseByteSize(text);
  if (bytes === undefined || bytes < MIN_PIECE_LENGTH || bytes > MAX_PIECE_LENGTH) {
    throw new ProxyRequestError(400, `x-dragonfly-piece-length must be a size between 4MiB and 64MiB, not "${text}"`);
  }
  return bytes;
}
