import { safeUrl } from '@d7y/service-kit';
import { formatBytes } from './format-bytes.ts';
import { printable } from './printable.ts';
import type { ActiveTask, DaemonStatus } from './status.ts';

/** Longer lists are cut: the JSON form has them all. */
const MAX_SHOWN_TASKS = 20;

/** For people, a fact a line. */
export function statusText(status: DaemonStatus): string {
  const { tasks, cache, bytes, schedulers, activeTasks } = status;
  const gotten = bytes.fromSource + bytes.fromPeers;
  const share = gotten === 0 ? '' : ` (${Math.round((100 * bytes.fromPeers) / gotten)} %)`;
  const facts: [string, string][] = [
    ['Health', status.health],
    ['Version', status.version],
    ['Host', `${status.hostId}${status.isSeed === true ? ' (seed)' : ''}`],
    ...schedulers.map(({ address, reachable }): [string, string] => [
      'Scheduler',
      `${address} ${reachable ? 'reachable' : 'NOT reachable'}`,
    ]),
    ...(schedulers.length === 0 ? [['Scheduler', 'none'] satisfies [string, string]] : []),
    ['Tasks', `${tasks.running} running, ${tasks.total} in total`],
    ['Cache', `${cache.tasks} tasks, ${formatBytes(cache.bytes)}`],
    ['From source', formatBytes(bytes.fromSource)],
    ['From peers', `${formatBytes(bytes.fromPeers)}${share}`],
    ...(bytes.fromLocalCache === undefined
      ? []
      : [['From cache', formatBytes(bytes.fromLocalCache)] satisfies [string, string]]),
    ['Uploaded', formatBytes(bytes.uploaded)],
  ];
  const shown = activeTasks.slice(0, MAX_SHOWN_TASKS).map(taskLine);
  const hidden = activeTasks.length - shown.length;
  return [
    ...facts.map(([name, value]) => `${`${name}:`.padEnd(13)}${printable(value)}`),
    ...shown,
    ...(hidden > 0 ? [`… and ${hidden} more (--format json shows all)`] : []),
    '',
  ].join('\n');
}

function taskLine({ taskId, url, contentLength, receivedBytes, finishedPieces, pieceCount }: ActiveTask): string {
  const size = contentLength === undefined ? 'unknown size' : formatBytes(contentLength);
  const parts = [
    `Task ${taskId.slice(0, 12)}`,
    receivedBytes === undefined ? size : `${formatBytes(receivedBytes)} of ${size}`,
    ...(finishedPieces === undefined ? [] : [`${finishedPieces}/${pieceCount ?? '?'} pieces`]),
    ...(url === undefined ? [] : [safeUrl(url)]),
  ];
  return printable(parts.join('  '));
}
