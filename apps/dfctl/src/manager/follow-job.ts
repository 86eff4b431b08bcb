import { delay } from '@d7y/service-kit';
import { JobFailedError } from '../errors.ts';
import type { Job } from './job-facts.ts';
import { layersOf, reasonsOf } from './job-facts.ts';
import { layerLine, progressLine } from './job-text.ts';
import type { ManagerClient } from './manager-client.ts';

/** Answers come at once; asking grows slower while nothing changes. */
const FIRST_POLL_MS = 250;
const LAST_POLL_MS = 2_000;

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** Gets a line whenever something has changed. */
  readonly onProgress: (line: string) => void;
}

/**
 * Waits for the end of a job.
 * @returns the job, when it succeeded
 * @throws {JobFailedError} with every reason
 */
export async function followJob(
  client: ManagerClient,
  id: number,
  { signal, onProgress }: FollowOptions,
): Promise<Job> {
  let last = '';
  const told = new Set<string>();
  for (let pollMs = FIRST_POLL_MS; ;) {
    const job = await client.call('jobs.get', { id }, { signal });
    const lines = [progressLine(job), ...layersOf(job).map(layerLine)];
    for (const line of lines.filter((each) => !told.has(each))) {
      told.add(line);
      onProgress(line);
    }
    if (job.state === 'SUCCESS') return job;
    if (job.state === 'FAILURE') throw new JobFailedError(job.id, job.phase === 'CANCELLED', reasonsOf(job));
    const seen = lines.join();
    pollMs = seen === last ? Math.min(pollMs * 1.5, LAST_POLL_MS) : FIRST_POLL_MS;
    last = seen;
    await delay(pollMs, { signal });
  }
}
