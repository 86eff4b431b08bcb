const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const AMOUNT = String.raw`(\d+(?:\.\d+)?)(${Object.keys(DURATION_UNITS_MS).join('|')})`;
const AMOUNTS = new RegExp(AMOUNT, 'g');
const DURATION = new RegExp(`^(?:${AMOUNT})+$`);

/** Milliseconds of a duration in Go's notation (`1h30m`, `500ms`, `1.5s`; days as `7d` too), or undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  if (!DURATION.test(trimmed)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of trimmed.matchAll(AMOUNTS))
    totalMs += Number(amount) * (DURATION_UNITS_MS[unit ?? ''] ?? NaN);
  if (!Number.isSafeInteger(Math.round(totalMs))) return undefined;
  // 1.1 s is 1100.0000000000002 ms in doubles; whole numbers are exact.
  return Number.isInteger(totalMs) || totalMs > 1e9 ? totalMs : Math.round(totalMs * 1e6) / 1e6;
}

/** Go's notation of a number of milliseconds, as `parseDurationMs` reads it back. */
export function formatDurationMs(durationMs: number): string {
  const parts: string[] = [];
  let restMs = durationMs;
  for (const [unit, unitMs] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const) {
    const count = Math.floor(restMs / unitMs);
    if (count > 0) parts.push(`${count}${unit}`);
    restMs -= count * unitMs;
  }
  if (restMs > 0 || parts.length === 0) parts.push(`${restMs}ms`);
  return parts.join('');
}

const SIZE_PREFIXES = ['', 'k', 'm', 'g', 't', 'p'];

/**
 * Bytes of a size: `4MiB` and Kubernetes' `4Mi` are binary, `50GB` and `50G` decimal, case does not matter; a bare number counts
 * bytes. Undefined when it is none, or not a whole number of bytes that a double holds exactly.
 */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, amount = '', prefix = '', binary = ''] = match;
  if (prefix === '' && binary !== '') return undefined;
  const bytes = Number(amount) * (binary === '' ? 1000 : 1024) ** SIZE_PREFIXES.indexOf(prefix.toLowerCase());
  const whole = Math.round(bytes);
  // 1.1 MB is 1100000.0000000002 in doubles: whole enough. 1.5 bytes is not.
  return Number.isSafeInteger(whole) && Math.abs(whole - bytes) < 1e-3 ? whole : undefined;
}

/** The shortest exact notation of a number of bytes: `4MiB`, `50GB`, `1234`. */
export function formatByteSize(bytes: number): string {
  for (let power = SIZE_PREFIXES.length - 1; power > 0; power--) {
    const prefix = (SIZE_PREFIXES[power] ?? '').toUpperCase();
    if (bytes > 0 && bytes % 1024 ** power === 0) return `${bytes / 1024 ** power}${prefix}iB`;
    if (bytes > 0 && bytes % 1000 ** power === 0) return `${bytes / 1000 ** power}${prefix}B`;
  }
  return String(bytes);
}
