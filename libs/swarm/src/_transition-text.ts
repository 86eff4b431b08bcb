import { HOST_TRANSITIONS, SEED_TRANSITIONS } from './host.ts';
import { PEER_TRANSITIONS } from './peer.ts';
import { TASK_TRANSITIONS } from './task.ts';

const MACHINES = {
  Peers: PEER_TRANSITIONS,
  Tasks: TASK_TRANSITIONS,
  'Normal hosts': HOST_TRANSITIONS,
  Seeds: SEED_TRANSITIONS,
};

/** The state machines of the swarm as tables: a row for each event, a column for each state that it may meet. */
export function transitionText(): string {
  const parts = Object.entries(MACHINES).map(([title, table]) => `## ${title}\n\n${tableText(table)}`);
  return `# States\n\nWhat each event makes of each state; a dash where it is not possible. Written from the tables in \`libs/swarm\`.\n\n${parts.join('\n\n')}\n`;
}

function tableText(table: Readonly<Record<string, { readonly from: readonly string[]; readonly to: string }>>): string {
  const events = Object.entries(table);
  const states = [...new Set(events.flatMap(([, { from }]) => from))];
  const rows = events.map(([event, { from, to }]) => [
    `\`${event}\``,
    ...states.map((state) => (from.includes(state) ? to : '–')),
  ]);
  const lines = [['Event', ...states], ['Event', ...states].map(() => '---'), ...rows];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  return lines
    .map((line) => {
      const isRule = line[0] === '---';
      const cells = line.map((cell, column) => (isRule ? '-' : cell).padEnd(widths[column] ?? 0, isRule ? '-' : ' '));
      return `| ${cells.join(' | ')} |`;
    })
    .join('\n');
}
