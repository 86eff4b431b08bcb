import { noTelemetry } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import type { Span, Tracer } from '@opentelemetry/api';
import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { QuestionTrace } from './question-trace.ts';

/** Notes what begins, below what, and what ends. */
function recorder(isSampled = true): { tracer: Tracer; noted: string[] } {
  const noted: string[] = [];
  const names = new Map<Span, string>();
  const startSpan: Tracer['startSpan'] = (name, _options, parent) => {
    const below = parent === undefined ? undefined : trace.getSpan(parent);
    noted.push(`${name} begins below ${(below && names.get(below)) ?? 'nothing'}`);
    const span = {
      isRecording: () => isSampled,
      setAttributes: (facts: object) => void noted.push(JSON.stringify(facts)),
      end: () => void noted.push(`${name} ends`),
    } as unknown as Span;
    names.set(span, name);
    return span;
  };
  return { tracer: { startSpan } as Tracer, noted };
}

describe('QuestionTrace', () => {
  it('tells evaluating from waiting', () => {
    const { tracer, noted } = recorder();
    const question = new QuestionTrace(tracer, 'register', ROOT_CONTEXT);
    question.evaluated();
    question.answered('parents', 3);
    expect(noted).toEqual([
      ...['schedule begins below nothing', 'evaluate begins below schedule', 'evaluate ends'],
      ...['wait begins below schedule', 'wait ends', '{"d7y.answer":"parents","d7y.parents":3}', 'schedule ends'],
    ]);
  });

  it('has no waiting where the answer came at once', () => {
    const { tracer, noted } = recorder();
    const question = new QuestionTrace(tracer, 'reschedule', ROOT_CONTEXT);
    question.answered('backToSource', 0);
    question.evaluated();
    expect(noted.filter((note) => note.includes('wait'))).toEqual([]);
    expect(noted.at(-1)).toBe('schedule ends');
  });

  it('makes no further spans of what is not sampled, and none at all where tracing is off', () => {
    const { tracer, noted } = recorder(false);
    const question = new QuestionTrace(tracer, 'register', ROOT_CONTEXT);
    question.evaluated();
    question.answered('parents', 1);
    expect(noted.filter((note) => note.includes('begins'))).toEqual(['schedule begins below nothing']);
    new QuestionTrace(noTelemetry().tracer, 'register', ROOT_CONTEXT).answered('parents', 1);
  });
});
