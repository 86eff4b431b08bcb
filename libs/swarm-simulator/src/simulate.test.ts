import { describe, expect, it } from '@jest/globals';
import { figuresOf } from './figures.ts';
import { completionPlot } from './plot.ts';
import type { ScenarioName, SettingsInput } from './settings.ts';
import { optimumMs, settingsOf } from './settings.ts';
import { simulate } from './simulate.ts';

const NO_CLOCK = { cpuMs: () => 0 };

function figures(scenario: ScenarioName, given: SettingsInput = {}): Record<string, number> {
  const settings = settingsOf(scenario, given);
  const outcome = simulate(settings, NO_CLOCK);
  return Object.fromEntries(figuresOf(settings, outcome, 0).map(({ name, value }) => [name, value]));
}

/** Worked out when it is first needed. */
function memoized(work: () => number): () => number {
  let value: number | undefined;
  return () => (value ??= work());
}

describe('simulate', () => {
  it('brings a burst to everybody near the bound, and every byte from the origin once', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { makespan, median, origin } = figures('burst', { peers: 1000, seed });
      expect(makespan).toBeLessThanOrEqual(1.15);
      expect(median).toBeLessThanOrEqual(1.1);
      // Faster than the bound would mean that a link carried more than it can.
      expect(makespan).toBeGreaterThan(1);
      expect(origin).toBe(1);
    }
  });

  it.each([
    [10, 1.7],
    [40, 2.8],
  ])('keeps links at work where messages take %d ms, and a piece no longer than that', (latencyMs, most) => {
    const { makespan, origin } = figures('burst', { peers: 100, pieces: 50, latencyMs });
    expect(origin).toBe(1);
    expect(makespan).toBeLessThanOrEqual(most);
  });

  it('needs more time where requests wait at parents, which then send to one child while others starve', () => {
    const { makespan } = figures('burst', { peers: 200, pieces: 50, daemon: { uploads: 'queue' } });
    expect(makespan).toBeGreaterThan(1.1 * (figures('burst', { peers: 200, pieces: 50 }).makespan ?? NaN));
  });

  it.each([
    ['turns', 1.25],
    ['queue', 1.8],
  ] as const)(
    'has a slow origin send each byte once though the hosts want eight layers at a time, by %s',
    (uploads, most) => {
      const slow = { rateBitsPerSec: 48e6, originBitsPerSec: 48e6 };
      const { makespan, origin } = figures('burst', { peers: 8, pieces: 16, tasks: 8, ...slow, daemon: { uploads } });
      expect(origin).toBe(1);
      expect(makespan).toBeLessThanOrEqual(most);
    },
  );

  it('comes to the same end with the same seed, and to another one with another', () => {
    const times = (seed: number) => simulate(settingsOf('burst', { peers: 200, pieces: 30, seed }), NO_CLOCK);
    const [one, same, other] = [times(1), times(1), times(2)];
    expect({ ...same, schedulerCpuMs: 0 }).toEqual({ ...one, schedulerCpuMs: 0 });
    expect(other.hostMs).not.toEqual(one.hostMs);
  });

  it('is slower still under the published policy in a burst, where several peers find the seed alone and keep to it', () => {
    const { makespan = NaN, origin } = figures('burst', { peers: 300, pieces: 50, policy: 'upstream' });
    expect(makespan).toBeGreaterThan(4);
    expect(makespan).toBeLessThan(16);
    expect(origin).toBe(1);
  });

  it('lets the others finish though some die on their way', () => {
    const { makespan = Infinity } = figures('burst', { peers: 300, pieces: 50, deathShare: 0.02 });
    expect(makespan).toBeLessThan(3);
  });

  it('sends nothing from the origin where some have everything', () => {
    const { origin, makespan } = figures('warm', { peers: 300, pieces: 50 });
    expect(origin).toBe(0);
    expect(makespan).toBeLessThan(1.6);
  });

  describe('what happens to some', () => {
    const peers = 300;
    const undisturbed = memoized(() => figures('burst', { peers }).makespan ?? NaN);

    it.each(['slow', 'leeches', 'seed-death', 'scheduler-restart'] as const)(
      'holds up the others little: %s',
      (name) => {
        const { makespan, origin } = figures(name, { peers });
        expect((makespan ?? NaN) / undisturbed()).toBeLessThanOrEqual(1.5);
        expect(origin).toBeLessThanOrEqual(name === 'seed-death' ? 1.1 : 1);
      },
    );
  });

  it('brings every byte into each of ten zones about once', () => {
    const { crossZone, origin } = figures('zones', { peers: 500 });
    expect(crossZone).toBeLessThanOrEqual(1.5);
    expect(origin).toBe(1);
  });

  it('brings several tasks at once to everybody', () => {
    const { makespan = Infinity, origin } = figures('layers', { peers: 40, pieces: 20, tasks: 5 });
    expect(makespan).toBeLessThan(2);
    expect(origin).toBe(1);
  });

  if (process.env['D7Y_TEST_FULL'] === '1') {
    it('brings 100 pieces to 10,000 peers near the bound', () => {
      const { makespan, median, origin } = figures('burst', { peers: 10_000 });
      expect(makespan).toBeLessThanOrEqual(1.15);
      expect(median).toBeLessThanOrEqual(1.1);
      expect(origin).toBe(1);
    }, 600_000);

    it('is as slow under the published policy as the published models say, where everybody has parents first', () => {
      const { makespan = NaN } = figures('assembled', { peers: 1000, policy: 'upstream' });
      expect(makespan).toBeGreaterThan(2.8);
      expect(makespan).toBeLessThan(3.9);
    });

    it('is as slow under the published policy as the published models say, also with 10,000 peers', () => {
      const { makespan = NaN } = figures('assembled', { peers: 10_000, policy: 'upstream' });
      expect(makespan).toBeGreaterThan(2.8);
      expect(makespan).toBeLessThan(3.9);
    }, 600_000);

    it('brings every byte into each of ten larger zones about once', () => {
      expect(figures('zones', { peers: 1000 }).crossZone).toBeLessThanOrEqual(1.5);
    }, 600_000);
  }
});

describe('optimumMs', () => {
  it('is one piece more than the bound of one source, for the way from the origin to the seed', () => {
    const settings = settingsOf('burst', { peers: 8, pieces: 25, pieceBytes: 1_000_000, rateBitsPerSec: 8e6 });
    expect(optimumMs(settings)).toBe((25 + 1 + 3) * 1000);
  });
});

describe('completionPlot', () => {
  it('draws a line for each run and one for the bound', () => {
    const svg = completionPlot('burst', 1000, [
      { label: 'mesh', colour: '#000', timesMs: Float64Array.of(900, 1100, Infinity) },
      { label: 'upstream', colour: '#000', timesMs: Float64Array.of(3000, 4000, 5000) },
    ]);
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).toContain('>T*<');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });
});
