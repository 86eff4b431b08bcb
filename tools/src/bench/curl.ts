import { run } from '@d7y/testkit';

/** One download by curl, timed by curl itself: its start is not part of it. */
export interface CurlResult {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/**
 * Downloads `url` into `output`.
 * @throws when the answer is no success
 */
export async function curl(
  url: string,
  output: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<CurlResult> {
  const args = [
    ...[
      '--silent',
      '--show-error',
      '--fail',
      '--noproxy',
      '*',
      '--output',
      output,
      '--write-out',
      '%{size_download} %{time_total}',
    ],
    ...Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
    url,
  ];
  // bash's own `time` is the one that is always there.
  const { stdout, stderr } = await run('bash', ['-c', 'TIMEFORMAT="%U %S"; time curl "$@"', 'curl', ...args]);
  const [bytes = NaN, seconds = NaN] = stdout.trim().split(' ').map(Number);
  const [user = NaN, system = NaN] = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  return { bytes, seconds, cpuSeconds: user + system };
}
