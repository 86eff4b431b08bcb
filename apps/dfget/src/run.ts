import {
  connectDaemon,
  consoleLogger,
  formatBytes,
  runProgram,
  statusReport,
  type Terminal,
  VERSION,
} from '@d7y/cli-kit';
import type { CommonOptions } from '@d7y/cli-kit';
import { safeUrl, type Logger } from '@d7y/service-kit';
import { download, type DownloadResult } from './download.ts';
import { checkOutput, type DownloadOptions } from './download-options.ts';
import { createProgram } from './program.ts';
import { createProgressBar, NO_PROGRESS } from './progress-bar.ts';

/**
 * The whole program.
 * @param argv without the names of Node and of the program
 * @returns the exit code
 */
export function runDfget(argv: readonly string[], terminal: Terminal, signal: AbortSignal): Promise<number> {
  const { stdout, stderr } = terminal;
  return runProgram(
    (output, chose) =>
      createProgram(
        {
          async download(options, common) {
            chose(common.format);
            const showsBar = common.progress && common.format === 'text' && stderr.isTTY === true;
            const startedAt = performance.now();
            const log = consoleLogger('dfget', common, stderr);
            const result = await downloadFile(options, common, showsBar ? stderr : undefined, log, signal);
            const elapsedMs = Math.round(performance.now() - startedAt);
            stdout.write(
              common.format === 'json' ? resultJson(result, options, elapsedMs) : resultText(result, elapsedMs),
            );
          },
          async status(common) {
            chose(common.format);
            stdout.write(await statusReport(common, { signal }));
          },
          warn: (line) => stderr.write(`dfget: ${line}\n`),
          version: () => stdout.write(`dfget ${VERSION}\n`),
        },
        output,
      ),
    argv,
    terminal,
  );
}

async function downloadFile(
  options: DownloadOptions,
  { endpoint }: CommonOptions,
  barStream: NodeJS.WritableStream | undefined,
  log: Logger,
  signal: AbortSignal,
): Promise<DownloadResult> {
  await checkOutput(options);
  using daemon = await connectDaemon(endpoint, { signal });
  log.info({ endpoint }, 'daemon is serving');
  using bar = barStream === undefined ? NO_PROGRESS : createProgressBar(readablePath(options.url), barStream);
  log.info({ url: safeUrl(options.url), output: options.output }, 'download starts');
  const result = await download(daemon, options, bar, { signal });
  log.info({ taskId: result.taskId, bytes: result.bytes }, 'download finished');
  return result;
}

function readablePath({ pathname }: URL): string {
  try {
    return decodeURI(pathname);
  } catch {
    return pathname; // a lone "%"
  }
}

function resultText({ output, contentLength, bytes }: DownloadResult, elapsedMs: number): string {
  const { fromSource, fromPeers, local } = bytes;
  const origin = `${formatBytes(fromSource)} from the source, ${formatBytes(fromPeers)} from peers, ${formatBytes(local)} local`;
  return `${output}: ${formatBytes(contentLength)} in ${(elapsedMs / 1000).toFixed(1)} s (${origin})\n`;
}

function resultJson(result: DownloadResult, { url, digest }: DownloadOptions, elapsedMs: number): string {
  return `${JSON.stringify({ url: safeUrl(url), ...result, digest: digest ?? null, elapsedMs })}\n`;
}
