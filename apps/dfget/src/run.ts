import { createLogger, safeUrl, type Logger } from '@d7y/service-kit';
import { CommanderError } from 'commander';
import { connectDaemon } from './daemon.ts';
import { download, type DownloadResult } from './download.ts';
import { checkOutput, type DownloadOptions } from './download-options.ts';
import { DfgetError } from './errors.ts';
import { describeFailure, failureJson } from './failure-report.ts';
import { formatBytes } from './format-bytes.ts';
import { createProgram, type Actions, type CommonOptions } from './program.ts';
import { createProgressBar, NO_PROGRESS } from './progress-bar.ts';
import { fetchStatus } from './status.ts';
import { statusText } from './status-text.ts';
import { VERSION } from './version.ts';

/** Where the program's output goes. */
export interface Terminal {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** Wrong arguments; everything else that fails is 1, or 128 and the signal's number. */
const EXIT_USAGE = 2;

/**
 * The whole program.
 * @param argv without the names of Node and of the program
 * @returns the exit code
 */
export async function runDfget(argv: readonly string[], terminal: Terminal, signal: AbortSignal): Promise<number> {
  const { stdout, stderr } = terminal;
  const chosen: { format: CommonOptions['format'] } = { format: 'text' };
  const actions: Actions = {
    async download(options, common) {
      chosen.format = common.format;
      const showsBar = common.progress && common.format === 'text' && stderr.isTTY === true;
      const startedAt = performance.now();
      const result = await downloadFile(options, common, showsBar ? stderr : undefined, logger(common, stderr), signal);
      const elapsedMs = Math.round(performance.now() - startedAt);
      stdout.write(common.format === 'json' ? resultJson(result, options, elapsedMs) : resultText(result, elapsedMs));
    },
    async status(common) {
      chosen.format = common.format;
      stdout.write(await readStatus(common, signal));
    },
    warn: (line) => stderr.write(`dfget: ${line}\n`),
    version: () => stdout.write(`dfget ${VERSION}\n`),
  };
  const program = createProgram(actions, {
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stderr.write(text),
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE; // commander has said why
    stderr.write(
      chosen.format === 'json' ? failureJson(error) : describeFailure(error, { color: stderr.isTTY === true }),
    );
    return error instanceof DfgetError ? error.exitCode : 1;
  }
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

async function readStatus({ endpoint, format }: CommonOptions, signal: AbortSignal): Promise<string> {
  using _daemon = await connectDaemon(endpoint, { signal });
  const status = await fetchStatus(endpoint, { signal });
  if (status !== undefined) return format === 'json' ? `${JSON.stringify(status.all)}\n` : statusText(status.known);
  const health = 'serving'; // or connecting would have failed
  return format === 'json' ? `${JSON.stringify({ health })}\n` : `Health: ${health} (this dfdaemon tells no more)\n`;
}

function resultText({ output, contentLength, bytes }: DownloadResult, elapsedMs: number): string {
  const { fromSource, fromPeers, local } = bytes;
  const origin = `${formatBytes(fromSource)} from the source, ${formatBytes(fromPeers)} from peers, ${formatBytes(local)} local`;
  return `${output}: ${formatBytes(contentLength)} in ${(elapsedMs / 1000).toFixed(1)} s (${origin})\n`;
}

function resultJson(result: DownloadResult, { url, digest }: DownloadOptions, elapsedMs: number): string {
  return `${JSON.stringify({ url: safeUrl(url), ...result, digest: digest ?? null, elapsedMs })}\n`;
}

function logger({ console, logLevel }: CommonOptions, stderr: NodeJS.WritableStream): Logger {
  const stream = { write: (line: string) => void stderr.write(line) };
  return createLogger({ name: 'dfget', level: console ? logLevel : 'silent', console: true, stream });
}
