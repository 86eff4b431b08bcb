import { RangeNotSatisfiableError, type TaskStream } from '@d7y/peer-engine';
import { type ByteRange, parseRangeHeader, toRangeHeader } from '@d7y/piece';

/** What a request says of the part it wants. */
export interface WantedRange {
  /** Range as received. */
  readonly header: string | undefined;
  /** If-Range as received: without a match the whole is wanted. */
  readonly ifRange: string | undefined;
}

/** A task opened for what is wanted of it. */
export interface RangedTask {
  /** Of the whole, of one range, or of the first of `parts`. */
  readonly stream: TaskStream;
  /** Two or more ranges that follow each other in one answer; undefined for any other answer. */
  readonly parts: readonly ByteRange[] | undefined;
}

/**
 * Opens a task for every form of Range (RFC 9110 §14.2) and If-Range (§13.1.5). What is malformed is ignored.
 * @param open opens the task for a Range header; of several ranges it takes the first that lies within the content
 * @throws {RangeNotSatisfiableError} no range lies within the content
 */
export async function openRanged(
  open: (rangeHeader: string | undefined) => Promise<TaskStream>,
  { header, ifRange }: WantedRange,
  blobDigest: string | undefined,
): Promise<RangedTask> {
  if (header === undefined) return { stream: await open(undefined), parts: undefined };
  if (ifRange === undefined) return await ranged(open, header);
  let task: RangedTask | undefined;
  let unsatisfiable: RangeNotSatisfiableError | undefined;
  try {
    task = await ranged(open, header);
  } catch (error) {
    if (!(error instanceof RangeNotSatisfiableError)) throw error;
    unsatisfiable = error;
  }
  if (task !== undefined && isCurrent(ifRange, task.stream, blobDigest)) return task;
  // Joined before the other is left: the task goes on.
  await using _first = task?.stream;
  const whole = await open(undefined);
  if (unsatisfiable === undefined || !isCurrent(ifRange, whole, blobDigest)) return { stream: whole, parts: undefined };
  await whole[Symbol.asyncDispose]();
  throw unsatisfiable;
}

async function ranged(open: (rangeHeader: string) => Promise<TaskStream>, header: string): Promise<RangedTask> {
  const stream = await open(header);
  const { range, contentLength } = stream;
  if (range === undefined || contentLength === undefined) return { stream, parts: undefined };
  const asked = parseRangeHeader(header, contentLength);
  if (asked.kind !== 'ranges' || asked.ranges.length === 1) return { stream, parts: undefined };
  const [first, ...others] = coalesced(asked.ranges);
  if (others.length > 0 && isSame(first, range)) return { stream, parts: [first, ...others] };
  await using left = stream;
  const again = isSame(first, left.range) ? left : undefined;
  const merged = again ?? (await open(toRangeHeader(first)));
  return { stream: merged, parts: others.length > 0 ? [first, ...others] : undefined };
}

/** Ranges that overlap or touch become one, then in ascending order; else they stay as the client listed them. */
export function coalesced(ranges: readonly [ByteRange, ...ByteRange[]]): readonly [ByteRange, ...ByteRange[]] {
  const ascending = ranges.toSorted((one, other) => one.start - other.start);
  const merged: ByteRange[] = [];
  for (const range of ascending) {
    const last = merged.at(-1);
    if (last === undefined || range.start > last.start + last.length) merged.push(range);
    else {
      const end = Math.max(last.start + last.length, range.start + range.length);
      merged[merged.length - 1] = { start: last.start, length: end - last.start };
    }
  }
  const [first, ...others] = merged;
  return first === undefined || merged.length === ranges.length ? ranges : [first, ...others];
}

/** Whether what the client has parts of is what is here: by a strong tag, or by exactly the date of its last change. */
function isCurrent(ifRange: string, { responseHeaders }: TaskStream, blobDigest: string | undefined): boolean {
  const validator = ifRange.trim();
  if (validator.startsWith('W/')) return false;
  if (validator.startsWith('"')) {
    const etag = responseHeaders['etag'] ?? (blobDigest === undefined ? undefined : `"${blobDigest}"`);
    return validator === etag;
  }
  const date = Date.parse(validator);
  return !Number.isNaN(date) && date === Date.parse(responseHeaders['last-modified'] ?? '');
}

function isSame(one: ByteRange, other: ByteRange | undefined): boolean {
  return other !== undefined && one.start === other.start && one.length === other.length;
}
