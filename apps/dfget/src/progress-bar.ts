import { SingleBar } from 'cli-progress';
import type { DownloadProgress } from './download.ts';
import { formatBytes } from '@d7y/cli-kit';

/** Columns of the bar itself. */
const BAR_SIZE = 60;
/** Files grow in pieces of several MiB, so a drawing more often shows nothing new. */
const DRAWINGS_PER_SECOND = 5;

/** A bar that is removed, with the line it stands on finished, when disposed. */
export interface ProgressBar extends DownloadProgress, Disposable {}

/** @param name of what is downloaded. @param stream a terminal */
export function createProgressBar(name: string, stream: NodeJS.WritableStream): ProgressBar {
  const startedAt = performance.now();
  const bar = new SingleBar({
    stream,
    fps: DRAWINGS_PER_SECOND,
    barsize: BAR_SIZE,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    format: `\u001B[1m${printable(name)}\u001B[0m [{duration_formatted}] {bar} {percentage}% {received} of {size}, {rate}/s, {eta_formatted} left`,
  });
  let totalBytes = 0;
  const facts = (receivedBytes: number) => ({
    received: formatBytes(receivedBytes),
    size: formatBytes(totalBytes),
    rate: formatBytes(receivedBytes / Math.max((performance.now() - startedAt) / 1000, 0.001)),
  });
  return {
    started(bytes) {
      totalBytes = bytes;
      bar.start(Math.max(bytes, 1), bytes === 0 ? 1 : 0, facts(0));
    },
    advanced(receivedBytes) {
      bar.update(receivedBytes, facts(receivedBytes));
    },
    [Symbol.dispose]() {
      bar.stop();
    },
  };
}

/** For those who do not want to see it. */
export const NO_PROGRESS: ProgressBar = {
  started: () => undefined,
  advanced: () => undefined,
  [Symbol.dispose]: () => undefined,
};

/** Names come from URLs: nothing in them may steer the terminal, or be taken for a placeholder of the format. */
function printable(name: string): string {
  return name.replace(/[\p{Cc}\p{Cf}{}]/gu, '?');
}
