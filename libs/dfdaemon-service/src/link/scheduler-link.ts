import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import { LinkedPeers, type LinkRequestCase, type SchedulerClient } from '@d7y/peer-protocol';
import { delay, linkedSignal, type Logger } from '@d7y/service-kit';
import { LinkRequests } from './link-requests.ts';

/** A scheduler that accepts the stream and says nothing is given up after this. */
const OPEN_TIMEOUT_MS = 5_000;

export interface SchedulerLinkOptions {
  readonly client: Pick<SchedulerClient, 'address' | 'openLink'>;
  readonly hostId: string;
  readonly version: string;
  /** Before the next try; `failures` in a row, from 1. */
  readonly reconnectDelayMs: (failures: number) => number;
  /** The stream stands, or no longer stands. */
  readonly onChange: (link: SchedulerLink) => void;
  /** The stream broke, or was refused. */
  readonly onBroken: (link: SchedulerLink) => void;
  readonly onMessage: (link: SchedulerLink, response: swarm.LinkResponse['response']) => void;
  readonly logger: Logger;
}

/** The stream with one scheduler: opened again whenever it breaks, until disposed. */
export class SchedulerLink implements AsyncDisposable {
  readonly address: string;
  readonly client: SchedulerLinkOptions['client'];
  readonly #options: SchedulerLinkOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #requests: LinkRequests | undefined;
  #peers: LinkedPeers | undefined;
  #isOpen = false;
  #cut: ((error: unknown) => void) | undefined;

  constructor(options: SchedulerLinkOptions) {
    this.#options = options;
    this.client = options.client;
    this.address = options.client.address;
    this.#running = this.#run();
  }

  /** The scheduler has answered the introduction, and the stream still stands. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Where downloads are registered while the stream stands. */
  get peers(): LinkedPeers | undefined {
    return this.#isOpen ? this.#peers : undefined;
  }

  /** Says something, in order; lost when the stream does not stand. A scheduler that does not read loses the stream. */
  send(request: LinkRequestCase): void {
    if (!this.#isOpen) return;
    try {
      this.#requests?.push(request);
    } catch (error) {
      this.#cut?.(error);
    }
  }

  /** Says this, bit by bit, when there is nothing else to say; instead of what is left of an earlier call. */
  tellAgain(backlog: Iterable<LinkRequestCase>): void {
    if (this.#isOpen) this.#requests?.tellAgain(backlog);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new DOMException('the link is disposed', 'AbortError'));
    await this.#running;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { reconnectDelayMs, onBroken, logger } = this.#options;
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      let error: unknown;
      try {
        await this.#serve(() => (failures = 0));
      } catch (caught) {
        error = caught;
      }
      if (signal.aborted) return;
      failures++;
      logger.debug({ scheduler: this.address, err: error, failures }, 'the link with a scheduler is down');
      onBroken(this);
      await delay(reconnectDelayMs(failures), { signal, unref: true }).catch(() => undefined);
    }
  }

  /** One stream, from its beginning to its end. @throws why it broke */
  async #serve(onOpened: () => void): Promise<void> {
    const { client, hostId, version, onMessage, logger } = this.#options;
    using stream = linkedSignal(this.#stopping.signal);
    const requests = new LinkRequests();
    const silence = setTimeout(() => stream.abort(new Error('the scheduler does not answer')), OPEN_TIMEOUT_MS);
    const peers = new LinkedPeers({ address: this.address, say: (request) => this.send(request), logger });
    this.#requests = requests;
    this.#peers = peers;
    this.#cut = (error) => stream.abort(error);
    try {
      requests.push({ case: 'open', value: create(swarm.LinkOpenSchema, { hostId, version }) });
      for await (const { response } of client.openLink(requests, { signal: stream.signal })) {
        if (response.case === 'opened') {
          clearTimeout(silence);
          onOpened();
          logger.info({ scheduler: this.address, version: response.value.version }, 'linked with a scheduler');
          this.#setOpen(true);
        } else if (!peers.hear(response)) onMessage(this, response);
      }
      throw new Error('the scheduler ended the stream');
    } catch (error) {
      this.#setOpen(false);
      peers.break(error);
      throw error;
    } finally {
      clearTimeout(silence);
      requests.close();
      this.#setOpen(false);
      this.#requests = undefined;
      this.#cut = undefined;
    }
  }

  #setOpen(isOpen: boolean): void {
    if (this.#isOpen === isOpen) return;
    this.#isOpen = isOpen;
    this.#options.onChange(this);
  }
}
