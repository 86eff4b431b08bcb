/** A run of bytes; `start` counts from 0, both in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

/**
 * What a Range header asks of content of a known length.
 * `whole`: no header, or one that must be ignored (another unit, malformed); RFC 9110 §14.2 says to answer 200 then.
 * `unsatisfiable`: well formed, but no byte of it exists; the answer is 416.
 */
export type RangeRequest =
  | { readonly kind: 'whole' }
  | { readonly kind: 'ranges'; readonly ranges: readonly [ByteRange, ...ByteRange[]] }
  | { readonly kind: 'unsatisfiable' };

const WHOLE: RangeRequest = { kind: 'whole' };
/** More than this many ranges in one header is taken for abuse and answered with the whole content (RFC 9110 §14.2). */
const MAX_RANGES = 128;

/**
 * Resolves a Range header against the length of the content.
 * @param header value of the header, such as `bytes=0-99`, `bytes=100-`, `bytes=-100`; undefined when absent
 * @param contentLength bytes in the whole content
 */
export function parseRangeHeader(header: string | undefined, contentLength: number): RangeRequest {
  if (header === undefined) return WHOLE;
  const match = /^bytes=(.+)$/i.exec(header.trim());
  if (match?.[1] === undefined) return WHOLE;
  const specs = match[1]
    .split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '');
  if (specs.length === 0 || specs.length > MAX_RANGES) return WHOLE;
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const range = resolveSpec(spec, contentLength);
    if (range === 'malformed') return WHOLE;
    if (range !== 'unsatisfiable') ranges.push(range);
  }
  const [first, ...rest] = ranges;
  return first === undefined ? { kind: 'unsatisfiable' } : { kind: 'ranges', ranges: [first, ...rest] };
}

function resolveSpec(spec: string, contentLength: number): ByteRange | 'malformed' | 'unsatisfiable' {
  const [, first, last] = /^(\d*)-(\d*)$/.exec(spec) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'malformed';
  if (first === '') {
    const length = Math.min(Number(last), contentLength);
    return length === 0 ? 'unsatisfiable' : { start: contentLength - length, length };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return 'malformed';
  if (start >= contentLength) return 'unsatisfiable';
  const end = last === '' ? contentLength - 1 : Math.min(Number(last), contentLength - 1);
  return { start, length: end - start + 1 };
}

/** The Range header that asks an origin for exactly these bytes. */
export function toRangeHeader({ start, length }: ByteRange): string {
  return `bytes=${start}-${start + length - 1}`;
}

/** The Content-Range header of an answer with these bytes of content that is `contentLength` long. */
export function toContentRangeHeader({ start, length }: ByteRange, contentLength: number): string {
  return `bytes ${start}-${start + length - 1}/${contentLength}`;
}

/**
 * Parses a Content-Range header (RFC 9110 §14.4).
 * @returns the range, absent in an answer 416, and the total length, absent when the sender does not know it; undefined
 *   when malformed or contradictory
 */
export function parseContentRange(header: string | undefined): { range?: ByteRange; total?: number } | undefined {
  const [, first, last, total] = /^bytes\s+(?:(\d+)-(\d+)|\*)\/(\d+|\*)$/i.exec(header?.trim() ?? '') ?? [];
  if (total === undefined) return undefined;
  const contentLength = total === '*' ? undefined : Number(total);
  if (contentLength !== undefined && !Number.isSafeInteger(contentLength)) return undefined;
  if (first === undefined) return contentLength === undefined ? undefined : { total: contentLength };
  const [start, end] = [Number(first), Number(last)];
  if (end < start || end >= (contentLength ?? Number.MAX_SAFE_INTEGER)) return undefined;
  const range = { start, length: end - start + 1 };
  return contentLength === undefined ? { range } : { range, total: contentLength };
}
