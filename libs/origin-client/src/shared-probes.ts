import { createHmac, randomBytes } from 'node:crypto';
import type { OriginProbe, OriginRequest } from '@d7y/peer-engine';

type Probe = (request: OriginRequest, options: { signal: AbortSignal }) => Promise<OriginProbe>;

/** A question under way. */
interface Question {
  readonly answer: Promise<OriginProbe>;
  readonly stop: AbortController;
  /** Callers who wait for it. */
  waiting: number;
}

/**
 * Asks an origin once what many want to know at the same time: the same URL, with the same headers and credentials. The question goes
 * on as long as somebody waits for its answer. Nothing is remembered once it is answered.
 */
export class SharedProbes {
  readonly #probe: Probe;
  readonly #questions = new Map<string, Question>();
  /** Hashes of credentials are worthless outside this process. */
  readonly #key = randomBytes(32);

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** @throws what the probe throws; the signal's reason */
  async ask(request: OriginRequest, { signal }: { signal: AbortSignal }): Promise<OriginProbe> {
    signal.throwIfAborted();
    const key = this.#keyOf(request);
    const question = this.#questions.get(key) ?? this.#start(key, request);
    question.waiting++;
    const { promise: left, reject } = Promise.withResolvers<never>();
    const leave = () => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([question.answer, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      question.waiting--;
      if (question.waiting === 0) {
        // Whoever comes now must not wait for an answer that nobody waits for any more.
        this.#forget(key, question);
        question.stop.abort(new Error('nobody waits for the answer'));
      }
    }
  }

  #start(key: string, request: OriginRequest): Question {
    const stop = new AbortController();
    const answer = this.#probe(request, { signal: stop.signal });
    const question: Question = { answer, stop, waiting: 0 };
    this.#questions.set(key, question);
    const forget = () => this.#forget(key, question);
    answer.then(forget, forget);
    return question;
  }

  #forget(key: string, question: Question): void {
    if (this.#questions.get(key) === question) this.#questions.delete(key);
  }

  #keyOf({ url, headers, credentials }: OriginRequest): string {
    const secrets = Object.entries(credentials).map(([name, value]) => [name, value.reveal()]);
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([url, Object.entries(headers).sort(), secrets.sort()]))
      .digest('base64');
  }
}
