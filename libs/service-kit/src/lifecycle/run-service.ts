import { describeStartError } from './start-error.ts';
import { isError } from '../observe/is-error.ts';
import { safeText } from '../observe/redact.ts';

/** What a started service hands back: how to stop it and, when it can end by itself, the promise of that. */
export interface RunningService extends AsyncDisposable {
  /** Settles when the service ends by itself; a rejection counts as failure. */
  readonly finished?: Promise<unknown>;
}

export interface RunServiceOptions {
  /** How long starting may go on after a stop signal, and disposing may take, before the process is ended by force. */
  readonly graceMs?: number;
  /** Gets one line per event that matters to an operator; standard error unless given. */
  readonly report?: (line: string) => void;
}

/** Exit codes of `runService`. */
export const EXIT_CODES = { clean: 0, failed: 1, notStoppedInTime: 2 } as const;

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;
const DEFAULT_GRACE_MS = 30_000;

/**
 * Runs a service until it is told to stop: SIGINT, SIGTERM or SIGQUIT abort the signal given to `start` and dispose what it
 * returned; a second one ends the process at once. The process ends because nothing is left to do; only after the grace period
 * by force. A start that fails prints one line and exits 1; so does an error nobody caught, after disposing.
 */
export async function runService(
  start: (signal: AbortSignal) => Promise<RunningService>,
  { graceMs = DEFAULT_GRACE_MS, report = (line) => void process.stderr.write(`${line}\n`) }: RunServiceOptions = {},
): Promise<void> {
  const stopping = new AbortController();
  const { promise: stopRequested, resolve: requestStop } = Promise.withResolvers<void>();
  let failed = false;

  const stop = (reason: string) => {
    if (stopping.signal.aborted) return;
    // Unreferenced: it fires only while something still keeps the event loop busy, which is what it is for.
    setTimeout(() => {
      report(`not stopped within ${graceMs} ms, ending by force`);
      process.exit(failed ? EXIT_CODES.failed : EXIT_CODES.notStoppedInTime);
    }, graceMs).unref();
    stopping.abort(new DOMException(reason, 'AbortError'));
    requestStop();
  };
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) {
      report(`${signal} again, ending by force`);
      process.exit(failed ? EXIT_CODES.failed : EXIT_CODES.notStoppedInTime);
    }
    stop(`stopped by ${signal}`);
  };
  const onUncaught = (error: unknown) => {
    failed = true;
    report(safeText(`uncaught: ${isError(error) ? (error.stack ?? error.message) : String(error)}`));
    stop('stopped by an uncaught error');
  };
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);

  try {
    await using service = await start(stopping.signal);
    await Promise.race([stopRequested, ...(service.finished === undefined ? [] : [service.finished])]);
    stop('finished');
  } catch (error) {
    const isOurStop = stopping.signal.aborted && error === stopping.signal.reason;
    if (!isOurStop) {
      failed = true;
      report(describeStartError(error));
    }
    stop('failed');
  }
  process.exitCode = failed ? EXIT_CODES.failed : EXIT_CODES.clean;
}
