import { type LabHost, onHost, run } from '@d7y/testkit';

/** One or more downloads by one curl. */
export interface CurlResult {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

const QUIET = ['--silent', '--show-error', '--fail', '--noproxy', '*'];

/**
 * Downloads `url` into `output`, timed by curl itself: its start is not part of it.
 * @param host where curl runs, in a network lab
 * @throws when the answer is no success
 */
export async function curl(
  url: string,
  output: string,
  headers: Readonly<Record<string, string>> = {},
  host?: LabHost,
): Promise<CurlResult> {
  const args = [
    ...QUIET,
    '--output',
    output,
    '--write-out',
    '%{size_download} %{time_total}',
    ...headerArgs(headers),
    url,
  ];
  const { lines, cpuSeconds } = await timed(args, host);
  const [bytes = NaN, seconds = NaN] = (lines[0] ?? '').split(' ').map(Number);
  return { bytes, seconds, cpuSeconds };
}

/**
 * Downloads all `urls` at once, each over a connection of its own, to nothing. The time is that of all together.
 * @throws when an answer is no success
 */
export async function curlAtOnce(
  urls: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Promise<CurlResult> {
  const { lines, cpuSeconds, seconds } = await timed([
    ...[...QUIET, '--parallel', '--parallel-immediate', '--parallel-max', String(urls.length)],
    ...['--write-out', '%{size_download}\\n'],
    ...headerArgs(headers),
    ...urls.flatMap((url) => ['--output', '/dev/null', url]),
  ]);
  return { bytes: lines.reduce((sum, line) => sum + Number(line), 0), seconds, cpuSeconds };
}

function headerArgs(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
}

/** Runs curl under bash's own `time`, the one that is always there. */
async function timed(
  args: readonly string[],
  host?: LabHost,
): Promise<{ readonly lines: readonly string[]; readonly seconds: number; readonly cpuSeconds: number }> {
  const script = 'TIMEFORMAT="%R %U %S"; time curl "$@"';
  const [program = '', ...rest] = onHost(host, 'bash', ['-c', script, 'curl', ...args]);
  const { stdout, stderr } = await run(program, rest);
  const [seconds = NaN, user = NaN, system = NaN] = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  return { lines: stdout.trim().split('\n'), seconds, cpuSeconds: user + system };
}
