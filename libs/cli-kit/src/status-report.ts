import type { CommonOptions } from './common-options.ts';
import { connectDaemon } from './daemon.ts';
import { fetchStatus } from './status.ts';
import { statusText } from './status-text.ts';

/** How the daemon is, in the form that was asked for; ends with a new line. @throws {CliError} or the reason of the signal */
export async function statusReport(
  { endpoint, format }: Pick<CommonOptions, 'endpoint' | 'format'>,
  { signal }: { signal: AbortSignal },
): Promise<string> {
  using _daemon = await connectDaemon(endpoint, { signal });
  const status = await fetchStatus(endpoint, { signal });
  if (status !== undefined) return format === 'json' ? `${JSON.stringify(status.all)}\n` : statusText(status.known);
  const health = 'serving'; // or connecting would have failed
  return format === 'json' ? `${JSON.stringify({ health })}\n` : `Health: ${health} (this dfdaemon tells no more)\n`;
}
