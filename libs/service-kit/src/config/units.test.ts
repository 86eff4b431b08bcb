import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatByteSize, formatDurationMs, parseByteSize, parseDurationMs } from './units.ts';

describe('durations', () => {
  it.each([
    ['0', 0],
    ['500ms', 500],
    ['1.5s', 1_500],
    ['1h30m', 5_400_000],
    ['720h', 2_592_000_000],
    ['7d', 604_800_000],
    ['10µs', 0.01],
  ])('reads %s', (text, expected) => expect(parseDurationMs(text)).toBe(expected));

  it.each(['', '5', '-5s', '1h 30m', '5 s', 's', '1e3s', '5minutes', '9'.repeat(30) + 'h'])('refuses %j', (text) =>
    expect(parseDurationMs(text)).toBeUndefined(),
  );

  it('reads back what it writes', () => {
    fc.assert(fc.property(fc.nat({ max: 1e12 }), (ms) => expect(parseDurationMs(formatDurationMs(ms))).toBe(ms)));
  });
});

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['4096', 4_096],
    ['4MiB', 4_194_304],
    ['4Mi', 4_194_304],
    ['4mib', 4_194_304],
    ['4MB', 4_000_000],
    ['50GB', 50_000_000_000],
    ['1.5Gi', 1_610_612_736],
    ['1.1MB', 1_100_000],
    ['512 KiB', 524_288],
    ['7B', 7],
  ])('reads %s', (text, expected) => expect(parseByteSize(text)).toBe(expected));

  it.each(['', 'MiB', '-1', '4MiBB', '4Xi', '4i', '1.5', '1,5GB', '9999999PiB', '0x10'])('refuses %j', (text) =>
    expect(parseByteSize(text)).toBeUndefined(),
  );

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.nat({ max: 4_000_000 }), fc.constantFrom(1, 1000, 1024, 1e6, 1024 ** 2, 1e9), (count, unit) =>
        expect(parseByteSize(formatByteSize(count * unit))).toBe(count * unit),
      ),
    );
  });
});
