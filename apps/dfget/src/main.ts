#!/usr/bin/env node
import { CancelledError } from './errors.ts';
import { runDfget } from './run.ts';

const cancel = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // The second one takes its usual course: whoever presses Ctrl-C twice means now.
  process.once(signal, () => cancel.abort(new CancelledError(signal)));
}
process.exitCode = await runDfget(process.argv.slice(2), process, cancel.signal);
