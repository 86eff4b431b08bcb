import { printable } from '@d7y/cli-kit';
import { table } from '../table.ts';
import type { Job, LayerFacts } from './job-facts.ts';
import { layersOf, progressOf, reasonsOf, shortName, subjectOf } from './job-facts.ts';

/** Jobs as a table. */
export function jobsText(jobs: readonly Job[]): string {
  return table(
    ['ID', 'TYPE', 'STATE', 'LAYERS', 'HOSTS', 'CREATED', 'WHAT'],
    jobs.map((job) => {
      const progress = progressOf(job);
      return [
        String(job.id),
        job.type,
        shownState(job),
        progress === undefined ? '-' : `${progress.layersDone}/${progress.layersTotal}`,
        progress === undefined ? '-' : `${progress.peersDone}/${progress.peersTotal}`,
        job.created_at,
        subjectOf(job),
      ];
    }),
  );
}

/** One job with what is known of its layers. */
export function jobText(job: Job): string {
  const reasons = job.state === 'FAILURE' ? reasonsOf(job).map((reason) => `  ${printable(reason)}\n`) : [];
  return [jobsText([job]), ...layersOf(job).map((layer) => `  ${layerLine(layer)}\n`), ...reasons].join('');
}

/** One line while a job runs. */
export function progressLine(job: Job): string {
  const progress = progressOf(job);
  if (progress === undefined || progress.layersTotal === 0) return `job ${job.id}: ${shownState(job)}`;
  const { layersDone, layersTotal, peersDone, peersTotal } = progress;
  return `job ${job.id}: layers ${layersDone}/${layersTotal}, hosts ${peersDone}/${peersTotal}`;
}

export function layerLine({ url, hosts, failures }: LayerFacts): string {
  const on = hosts.length === 1 ? `on ${hosts[0] ?? ''}` : `on ${hosts.length} hosts`;
  const failed = failures.length === 0 ? '' : `, failed on ${failures.map(({ host }) => host).join(', ')}`;
  return printable(`${shortName(url)}  ${on}${failed}`);
}

/** The three states that clients wait for say less than the phase. */
function shownState({ state, phase }: Job): string {
  return state === 'PENDING' || phase === 'CANCELLED' ? phase : state;
}
