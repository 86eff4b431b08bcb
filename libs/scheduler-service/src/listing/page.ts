import { ConversationError } from '../errors.ts';

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;
/** Looked at for one page: a filter that lets little through must not hold up everybody else. The page is short then, or empty. */
const MAX_LOOKED_AT = 50_000;

/** One page of a list that changes. */
export interface Page<Item> {
  readonly items: Item[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/**
 * The part of a table that one page shows. Tables keep the order in which their entries came, so a page begins after the number of
 * entries that the ones before it have looked at: what left meanwhile shifts it, and entries are passed over rather than shown twice.
 * @throws {ConversationError} a token that no page gave
 */
export function pageOf<Entry, Item>(
  entries: Iterable<Entry>,
  { pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string },
  toItem: (entry: Entry) => Item | undefined,
): Page<Item> {
  const size = Math.min(pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
  const from = offsetOf(pageToken);
  const items: Item[] = [];
  let at = 0;
  for (const entry of entries) {
    if (at++ < from) continue;
    if (items.length >= size || at > from + MAX_LOOKED_AT) return { items, nextPageToken: String(at - 1) };
    const item = toItem(entry);
    if (item !== undefined) items.push(item);
  }
  return { items, nextPageToken: '' };
}

function offsetOf(pageToken: string): number {
  if (!/^\d{0,12}$/.test(pageToken)) throw new ConversationError('page_token: none that a page gave');
  return Number(pageToken);
}
