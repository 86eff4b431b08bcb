import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { ROUTES, type WatchEvent } from '@d7y/manager-api';

/** What a client has heard. */
export interface Heard {
  readonly id: string;
  readonly event: WatchEvent;
}

/** A client of events over HTTP/1, for tests. */
export interface TestListener extends Disposable {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The next event; rejects when there are no more. */
  next(): Promise<WatchEvent>;
  /** The next event that is so; those before are passed over. */
  nextThat(isIt: (event: WatchEvent) => boolean): Promise<WatchEvent>;
  /** All events until the end of the stream. */
  rest(): Promise<readonly WatchEvent[]>;
  /** Ids of the events that were given out. */
  readonly ids: readonly string[];
  /** Everything that has come, also what is no event. */
  readonly text: string;
}

/** Listens as `curl -N` would; nothing is read from the connection before the first event is asked for. */
export async function listenTo(url: string, headers: Readonly<Record<string, string>> = {}): Promise<TestListener> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = get(url, { headers, agent: false }, resolve);
  request.on('error', reject);
  const response = await promise;
  response.on('error', () => undefined);
  const ids: string[] = [];
  let text = '';
  const events = (async function* () {
    let waiting = '';
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk as string;
      const blocks = (waiting + (chunk as string)).split('\n\n');
      waiting = blocks.pop() ?? '';
      for (const block of blocks) {
        const heard = eventOf(block);
        if (heard === undefined) continue;
        ids.push(heard.id);
        yield heard.event;
      }
    }
  })();
  const next = async (): Promise<WatchEvent> => {
    const { value, done } = await events.next();
    if (done === true) throw new Error(`no more events: ${text.slice(-500)}`);
    return value;
  };
  return {
    ...{ status: response.statusCode ?? 0, headers: response.headers, ids, next },
    get text() {
      return text;
    },
    async nextThat(isIt) {
      for (;;) {
        const event = await next();
        if (isIt(event)) return event;
      }
    },
    async rest() {
      const all: WatchEvent[] = [];
      for await (const event of { [Symbol.asyncIterator]: () => events }) all.push(event);
      return all;
    },
    [Symbol.dispose]: () => void request.destroy(),
  };
}

/** One event, which has to be as the table of routes says; undefined for what is none. */
function eventOf(block: string): Heard | undefined {
  const fields = new Map(
    block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  );
  const [id, name, data] = [fields.get('id'), fields.get('event'), fields.get('data')];
  if (name === undefined) return undefined;
  const event = { event: name, data: JSON.parse(data ?? 'null') as unknown };
  const checked = ROUTES['events.listen'].event.parse(event);
  if (JSON.stringify(checked).length !== JSON.stringify(event).length) throw new Error(`undescribed fields: ${block}`);
  if (id === undefined) throw new Error(`no id: ${block}`);
  return { id, event: checked };
}
