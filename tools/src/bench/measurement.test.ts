import { describe, expect, it } from '@jest/globals';
import { type Measurement, toJsonLine, toText } from './measurement.ts';

const rate = (median: number) => ({ median, min: median - 1, max: median + 1 });
const MEASUREMENT: Measurement = {
  name: 'peer',
  sizeBytes: 536_870_912,
  peakRssBytes: { receiver: 123_456_789 },
  comparison: {
    runs: 7,
    ratio: { median: 0.712345, min: 0.7, max: 0.8 },
    ours: { rate: rate(700.25), cpuSecondsPerGib: { receiver: 1.23456 } },
    theirs: { rate: rate(1000), cpuSecondsPerGib: { nginx: 0.1, curl: 0.2 } },
  },
};

describe('toJsonLine', () => {
  it('is one line that names value and unit, with fractions rounded and counts exact', () => {
    const text = toJsonLine(MEASUREMENT);
    expect(text).not.toContain('\n');
    expect(JSON.parse(text)).toMatchObject({
      name: 'peer',
      value: 0.7123,
      unit: 'ratio',
      spread: [0.7, 0.8],
      runs: 7,
      sizeBytes: 536_870_912,
      mibPerSec: { median: 700.3 },
      cpuSecondsPerGib: { receiver: 1.235 },
      peakRssBytes: { receiver: 123_456_789 },
    });
  });
});

describe('toText', () => {
  it('tells both sides apart', () => {
    expect(toText(MEASUREMENT)).toContain('receiver 1.23; nginx 0.10, curl 0.20');
  });
});
