import type { EventTopic, WatchEvent } from '@d7y/manager-api';

/** Gives each event of a process an id of its own. A client that names its last one when it comes back gets a snapshot all the same. */
export class EventIds {
  readonly #process = Date.now().toString(36);
  #count = 0;

  next(): string {
    return `${this.#process}-${++this.#count}`;
  }
}

/** One event as it is sent. */
export const eventText = (id: string, { event, data }: Extract<WatchEvent, { event: 'begin' | 'end' }>): Buffer =>
  textOf(id, event, JSON.stringify(data));

/** Everything of a topic that is shown. @param items as JSON */
export function snapshotText(
  id: string,
  topic: EventTopic,
  { items, total, incomplete }: { items: readonly string[]; total: number; incomplete: readonly string[] },
): Buffer {
  return textOf(
    id,
    `${topic}.snapshot`,
    `{"items":[${items.join()}],"total":${total},"incomplete":${JSON.stringify(incomplete)}}`,
  );
}

/** What of a topic is not as it was. @param changed as JSON, and so is `removed` */
export function changeText(
  id: string,
  topic: EventTopic,
  {
    changed,
    removed,
    total,
    incomplete,
  }: { changed: readonly string[]; removed: readonly string[]; total: number; incomplete: readonly string[] },
): Buffer {
  return textOf(
    id,
    `${topic}.changed`,
    `{"changed":[${changed.join()}],"removed":[${removed.join()}],"total":${total},"incomplete":${JSON.stringify(incomplete)}}`,
  );
}

/** A line that means nothing, by which both sides notice that the other one is there. */
export const HEARTBEAT = Buffer.from(':\n\n');

/** Tells a browser after how long it shall come back. */
export const retryText = (retryMs: number): Buffer => Buffer.from(`retry: ${retryMs}\n\n`);

const textOf = (id: string, name: string, json: string): Buffer =>
  Buffer.from(`id: ${id}\nevent: ${name}\ndata: ${json}\n\n`);
