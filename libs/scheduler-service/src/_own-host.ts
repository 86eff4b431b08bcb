import type { swarm } from '@d7y/api';
import { create } from '@bufbuild/protobuf';
import { swarm as api } from '@d7y/api';
import type { SchedulerClient } from '@d7y/peer-protocol';
import { createSchedulerClient, LinkedPeers } from '@d7y/peer-protocol';
import type { LinkRequestCase } from '@d7y/peer-protocol';
import { AsyncQueue } from '@d7y/service-kit';
import type { SchedulerRig } from './_rig.ts';
import { hostMessage, silent } from './_rig.ts';

const signal = new AbortController().signal;

/** The scheduler's client as our daemons use it, introduced and announced. */
export async function connectHost(rig: SchedulerRig, hostId: string): Promise<SchedulerClient> {
  const address = { host: '127.0.0.1', port: rig.running.port };
  const client = createSchedulerClient({ address, hostId, version: '1', logger: silent });
  await client.hello({ signal });
  await client.announceHost(hostMessage(hostId), 60_000, { signal });
  return client;
}

/** The link of a daemon of ours, as the daemon speaks on it. */
export class OwnHost implements AsyncDisposable {
  readonly client: SchedulerClient;
  readonly peers: LinkedPeers;
  /** What came that is not about its downloads. */
  readonly heard: swarm.LinkResponse['response'][] = [];
  readonly #requests = new AsyncQueue<swarm.LinkRequest>(10_000);
  readonly #cancel = new AbortController();
  readonly #opened = Promise.withResolvers<void>();

  private constructor(client: SchedulerClient, hostId: string) {
    this.client = client;
    const { address } = client;
    this.peers = new LinkedPeers({
      address,
      say: (request) => this.say(request),
      limits: { batchMs: 5 },
      logger: silent,
    });
    this.say({ case: 'open', value: create(api.LinkOpenSchema, { hostId, version: '1' }) });
    void this.#listen();
  }

  static async open(rig: SchedulerRig, hostId: string): Promise<OwnHost> {
    const host = new OwnHost(await connectHost(rig, hostId), hostId);
    await host.#opened.promise;
    return host;
  }

  say(request: LinkRequestCase): void {
    this.#requests.push(create(api.LinkRequestSchema, { request }));
  }

  /** The stream breaks. */
  cut(): void {
    this.#cancel.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.client[Symbol.asyncDispose]();
  }

  async #listen(): Promise<void> {
    let error: unknown = new Error('the stream ended');
    try {
      for await (const { response } of this.client.openLink(this.#requests, { signal: this.#cancel.signal })) {
        if (response.case === 'opened') this.#opened.resolve();
        else if (!this.peers.hear(response)) this.heard.push(response);
      }
    } catch (caught) {
      error = caught;
    }
    this.#opened.reject(error);
    this.#opened.promise.catch(() => undefined);
    this.peers.break(error);
  }
}
