import type { Context, Span, Tracer } from '@opentelemetry/api';
import { trace } from '@opentelemetry/api';

/**
 * The spans of one question of a peer: `schedule` until its answer and, below it, `evaluate` while candidates are filtered and ranked for the
 * first time and `wait` from then on, where there was nobody to offer yet. A question that is not sampled has the first alone, which does nothing.
 */
export class QuestionTrace {
  readonly #tracer: Tracer;
  readonly #schedule: Span;
  readonly #below: Context;
  #step: Span | undefined;
  #isAnswered = false;

  /** The peer asks. @param cause why, for people */
  constructor(tracer: Tracer, cause: 'register' | 'reschedule', parent: Context) {
    this.#tracer = tracer;
    this.#schedule = tracer.startSpan('schedule', { attributes: { 'd7y.cause': cause } }, parent);
    this.#below = trace.setSpan(parent, this.#schedule);
    this.#begin('evaluate');
  }

  /** The question has been looked at: unless it has its answer by now, it waits for one. */
  evaluated(): void {
    if (this.#isAnswered) return;
    this.#step?.end();
    this.#begin('wait');
  }

  /** @param kind of the answer */
  answered(kind: string, parentCount: number): void {
    this.#isAnswered = true;
    this.#step?.end();
    this.#schedule.setAttributes({ 'd7y.answer': kind, 'd7y.parents': parentCount });
    this.#schedule.end();
  }

  #begin(name: 'evaluate' | 'wait'): void {
    if (this.#schedule.isRecording()) this.#step = this.#tracer.startSpan(name, {}, this.#below);
  }
}
