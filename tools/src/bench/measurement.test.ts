import { describe, expect, it } from '@jest/globals';
import { type ComparisonFacts, cpuOf, isMet, ratioOf, toJsonLine, toText } from './measurement.ts';

const rate = (median: number) => ({ median, min: median - 1, max: median + 1 });
const FACTS: ComparisonFacts = {
  sizeBytes: 536_870_912,
  peakRssBytes: { receiver: 123_456_789 },
  comparison: {
    runs: 7,
    ratio: { median: 0.712345, min: 0.7, max: 0.8 },
    ours: { rate: rate(700.25), cpuSecondsPerGib: { receiver: 1.23456, sender: 0.5 } },
    theirs: { rate: rate(1000), cpuSecondsPerGib: { nginx: 0.1, curl: 0.2 } },
  },
};
const TARGET = { must: 0.45, aim: 0.6 };

describe('isMet', () => {
  it('takes more for better when the aim is above what must be', () => {
    expect([0.44, 0.45, 0.7].map((value) => isMet(value, TARGET))).toEqual([false, true, true]);
  });

  it('takes less for better when the aim is below or the same', () => {
    expect([1.9, 1.91].map((value) => isMet(value, { must: 1.9, aim: 1.4 }))).toEqual([true, false]);
    expect([1, 1.01].map((value) => isMet(value, { must: 1, aim: 1 }))).toEqual([true, false]);
  });
});

describe('toJsonLine', () => {
  it('is one line that names value and target, with fractions rounded and counts exact', () => {
    const text = toJsonLine(ratioOf('peer', FACTS, TARGET));
    expect(text).not.toContain('\n');
    expect(JSON.parse(text)).toMatchObject({
      name: 'peer',
      value: 0.7123,
      unit: 'ratio',
      must: 0.45,
      aim: 0.6,
      pass: true,
      spread: [0.7, 0.8],
      runs: 7,
      sizeBytes: 536_870_912,
      mibPerSec: { median: 700.3 },
      cpuSecondsPerGib: { receiver: 1.235 },
      peakRssBytes: { receiver: 123_456_789 },
    });
  });

  it('adds up the processor time of our sides', () => {
    expect(JSON.parse(toJsonLine(cpuOf('peerCpu', FACTS, { must: 1.9, aim: 1.4 })))).toMatchObject({
      value: 1.735,
      unit: 's/GiB',
      pass: true,
      receiver: 1.235,
      sender: 0.5,
    });
  });
});

describe('toText', () => {
  it('tells both sides apart, and whether the value is good enough', () => {
    const text = toText(ratioOf('peer', FACTS, { must: 0.8, aim: 0.9 }));
    expect(text).toContain('receiver 1.23, sender 0.50; nginx 0.10, curl 0.20');
    expect(text).toContain('must 0.8: NOT met');
  });
});
