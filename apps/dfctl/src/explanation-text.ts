import { formatBytes, printable } from '@d7y/cli-kit';
import type { Explanation } from './explain.ts';
import { table } from './table.ts';

const ROUTES: Readonly<Record<string, string>> = {
  task: 'through the swarm',
  manifest: 'through the cache of manifests',
  direct: 'straight from the upstream',
};

/** For people: the way of a URL, from the rule to the bytes. */
export function explanationText(explanation: Explanation): string {
  const { route, task, download, schedulers, seeds } = explanation;
  const facts: [string, string][] = [
    ['URL', explanation.url],
    ['Route', `${ROUTES[route.kind] ?? route.kind} (${route.why})`],
    ...(route.rule === undefined
      ? []
      : [['Rule', `number ${route.rule.index + 1}: /${route.rule.regex}/`] satisfies [string, string]]),
    ['Upstream', route.upstream],
    ...(task === undefined ? [] : taskFacts(task)),
    ...schedulers.map(({ address, reachable }, index): [string, string] => [
      index === 0 ? 'Schedulers' : '',
      `${address}${index === 0 ? ' owns the task' : ''}${reachable ? '' : ', NOT reachable'}`,
    ]),
    ...(schedulers.length === 0 ? [['Schedulers', 'none'] satisfies [string, string]] : []),
    ['Seeds', seeds.length === 0 ? 'none known' : seeds.join(', ')],
  ];
  const lines = facts.map(([name, value]) => `${(name === '' ? '' : `${name}:`).padEnd(12)}${printable(value)}`);
  return `${lines.join('\n')}\n${downloadText(download, task)}`;
}

function taskFacts({ id, held }: NonNullable<Explanation['task']>): [string, string][] {
  if (held === undefined)
    return [
      ['Task', id],
      ['Here', 'nothing of it'],
    ];
  const { bytes } = held;
  const state = held.isComplete
    ? 'complete, its digest checked'
    : `${held.finishedPieces} of ${held.pieceCount} pieces`;
  return [
    ['Task', `${id}${held.isPrivate ? ' (private)' : ''}`],
    [
      'Here',
      `${state}; ${formatBytes(held.contentLength)} in ${held.pieceCount} pieces of ${formatBytes(held.pieceLength)}`,
    ],
    ['From source', formatBytes(bytes.fromSource)],
    ['From peers', formatBytes(bytes.fromPeers)],
    ...bytes.byPeer.map((peer): [string, string] => [
      '',
      `${peer.peerId}: ${formatBytes(peer.bytes)} in ${peer.pieces} pieces`,
    ]),
  ];
}

function downloadText(download: Explanation['download'], task: Explanation['task']): string {
  if (download === undefined) {
    return task === undefined ? '' : '\nThis daemon has not downloaded it since it started.\n';
  }
  const { parents, events, outcome, startedAtMs, endedAtMs } = download;
  const took = endedAtMs === undefined ? '' : ` after ${((endedAtMs - startedAtMs) / 1000).toFixed(1)} s`;
  const parentTable =
    parents.length === 0
      ? 'No parent was offered.\n'
      : table(
          ['PARENT', 'ADDRESS', 'STATE', 'ANNOUNCED', 'RECEIVED', 'BYTES', 'FAILED', 'WHY'],
          parents.map((parent) => [
            `${parent.hostId}${parent.isSeed ? ' (seed)' : ''}`,
            parent.address,
            parent.state === 'passedOver' ? 'passed over' : parent.state,
            String(parent.announcedPieces),
            String(parent.receivedPieces),
            formatBytes(parent.receivedBytes),
            String(parent.failedPieces),
            parent.why ?? '',
          ]),
        );
  const story = events.map(({ atMs, what }) => `  ${(atMs / 1000).toFixed(3).padStart(9)} s  ${printable(what)}\n`);
  return [
    `\nLast download: ${outcome}${took}, ${formatBytes(download.originBytes)} of it from the origin\n`,
    parentTable,
    ...(story.length === 0 ? [] : ['\n', ...story]),
  ].join('');
}
