import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { SchedulerClient } from '@d7y/peer-protocol';
import { AsyncQueue, untilAborted } from '@d7y/service-kit';
import type { OwnSchedulers } from './own-schedulers.ts';

type RequestCase = swarm.LinkRequest['request'];
type Response = NonNullable<MessageInitShape<typeof swarm.LinkResponseSchema>['response']>;

/** A scheduler of ours, as far as links know it: notes what it is told, and says what a test wants said. */
export class FakeScheduler {
  readonly address: string;
  /** Everything it was told, in order. */
  readonly told: RequestCase[] = [];
  /** Accepts streams. */
  isUp = true;
  /** Stops reading. */
  isDeaf = false;
  connections = 0;
  answer: ((request: RequestCase) => Response | undefined) | undefined;
  readonly client: SchedulerClient;
  #answers: AsyncQueue<swarm.LinkResponse> | undefined;

  constructor(address: string) {
    this.address = address;
    // Links use no more of it.
    this.client = {
      address,
      openLink: (requests: AsyncIterable<swarm.LinkRequest>, { signal }: { signal: AbortSignal }) =>
        this.#serve(requests, signal),
    } as unknown as SchedulerClient;
  }

  /** What it was told of one kind since `told` was last emptied. */
  of<Case extends NonNullable<RequestCase['case']>>(kind: Case) {
    return this.told.flatMap((request) =>
      request.case === kind ? [request.value as Extract<RequestCase, { case: Case }>['value']] : [],
    );
  }

  say(response: Response): void {
    this.#answers?.push(create(swarm.LinkResponseSchema, { response }));
  }

  /** The stream breaks. */
  cut(): void {
    this.#answers?.fail(new Error('cut'));
  }

  async *#serve(requests: AsyncIterable<swarm.LinkRequest>, signal: AbortSignal): AsyncGenerator<swarm.LinkResponse> {
    this.connections++;
    if (!this.isUp) throw new Error(`${this.address} is down`);
    const answers = new AsyncQueue<swarm.LinkResponse>(10_000);
    this.#answers = answers;
    void this.#read(requests);
    yield* untilAborted(answers, signal);
    signal.throwIfAborted();
  }

  async #read(requests: AsyncIterable<swarm.LinkRequest>): Promise<void> {
    for await (const { request } of requests) {
      this.told.push(request);
      if (request.case === 'open') this.say({ case: 'opened', value: { instanceId: this.address, version: '1' } });
      const response = this.answer?.(request);
      if (response !== undefined) this.say(response);
      while (this.isDeaf) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** The schedulers of a cluster, in the order in which they own every task. */
export class FakeSchedulers implements OwnSchedulers {
  readonly doubted: string[] = [];
  readonly retired: string[] = [];
  #all: readonly FakeScheduler[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(...all: FakeScheduler[]) {
    this.#all = all;
  }

  replace(...all: FakeScheduler[]): void {
    this.#all = all;
    for (const listener of this.#listeners) listener();
  }

  own() {
    return this.#all.map(({ client }) => client);
  }

  order() {
    return this.#all.map(({ address }) => address);
  }

  doubt(address: string): void {
    this.doubted.push(address);
  }

  retire(address: string): void {
    this.retired.push(address);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
