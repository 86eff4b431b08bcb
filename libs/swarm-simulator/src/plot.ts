/** Completion times of one run, to be drawn as a line. */
export interface PlotLine {
  readonly label: string;
  readonly colour: string;
  /** Ascending, in ms. */
  readonly timesMs: Float64Array;
}

const WIDTH = 800;
const HEIGHT = 400;
const MARGIN = { left: 56, right: 16, top: 36, bottom: 44 };
const POINTS = 200;

/** A picture in SVG: which part of the peers had everything by when, beside the bound. */
export function completionPlot(title: string, optimumMs: number, lines: readonly PlotLine[]): string {
  const lastMs = Math.max(optimumMs, ...lines.map(({ timesMs }) => timesMs.findLast(Number.isFinite) ?? 0)) * 1.05;
  const x = (ms: number): string => (MARGIN.left + (ms / lastMs) * (WIDTH - MARGIN.left - MARGIN.right)).toFixed(1);
  const y = (part: number): string =>
    (HEIGHT - MARGIN.bottom - part * (HEIGHT - MARGIN.top - MARGIN.bottom)).toFixed(1);
  const stepMs = 10 ** Math.floor(Math.log10(lastMs));
  const ticks: string[] = [];
  for (let ms = 0; ms <= lastMs; ms += lastMs / stepMs < 4 ? stepMs / 2 : stepMs)
    ticks.push(
      `<line x1="${x(ms)}" x2="${x(ms)}" y1="${y(0)}" y2="${y(1)}" stroke="#ddd"/>` +
        `<text x="${x(ms)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${ms / 1000} s</text>`,
    );
  for (const part of [0, 0.25, 0.5, 0.75, 1])
    ticks.push(
      `<line x1="${x(0)}" x2="${x(lastMs)}" y1="${y(part)}" y2="${y(part)}" stroke="#ddd"/>` +
        `<text x="${MARGIN.left - 8}" y="${Number(y(part)) + 4}" text-anchor="end">${part * 100} %</text>`,
    );
  const curves = lines.map(({ label, colour, timesMs }, index) => {
    const finished = timesMs.findLastIndex(Number.isFinite) + 1;
    const points = [`${x(0)},${y(0)}`];
    for (let point = 0; point <= POINTS && finished > 0; point++) {
      const at = Math.round((point / POINTS) * (finished - 1));
      points.push(`${x(timesMs[at])},${y((at + 1) / timesMs.length)}`);
    }
    const legendY = MARGIN.top + 20 + index * 18;
    return (
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.join(' ')}"/>` +
      `<text x="${WIDTH - MARGIN.right - 8}" y="${HEIGHT - MARGIN.bottom - legendY}" text-anchor="end" fill="${colour}">${label}</text>`
    );
  });
  const bound =
    `<line x1="${x(optimumMs)}" x2="${x(optimumMs)}" y1="${y(0)}" y2="${y(1)}" stroke="#000" stroke-dasharray="5 4"/>` +
    `<text x="${x(optimumMs)}" y="${MARGIN.top - 6}" text-anchor="middle">T*</text>`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">` +
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/><text x="${MARGIN.left}" y="16">${title}</text>` +
    `${ticks.join('')}${bound}${curves.join('')}</svg>\n`
  );
}
