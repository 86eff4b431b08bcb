import type { Terminal } from '@d7y/cli-kit';
import { CancelledError } from '@d7y/cli-kit';
import { followJob } from './follow-job.ts';
import type { JobActions, ManagerQuestion } from './job-commands.ts';
import type { Job } from './job-facts.ts';
import { jobsText, jobText } from './job-text.ts';
import { ManagerClient } from './manager-client.ts';
import { preheatBody } from './preheat.ts';

export interface JobActionsOptions extends Terminal {
  readonly signal: AbortSignal;
  /** In which form failures are to be told from now on. */
  readonly chose: (format: ManagerQuestion['format']) => void;
}

/** Asks a manager, and prints what it says. */
export function jobActions({ stdout, stderr, signal, chose }: JobActionsOptions): JobActions {
  const open = (manager: ManagerQuestion) => {
    chose(manager.format);
    return ManagerClient.open(manager);
  };
  const print = ({ format }: ManagerQuestion, answer: unknown, text: string) =>
    void stdout.write(format === 'json' ? `${JSON.stringify(answer)}\n` : text);
  /** What changes goes to standard error, so that the output is the result alone. */
  const follow = async (client: ManagerClient, id: number, { format }: ManagerQuestion): Promise<Job> => {
    const onProgress = (line: string) => void (format === 'text' && stderr.write(`${line}\n`));
    try {
      return await followJob(client, id, { signal, onProgress });
    } catch (error) {
      if (error instanceof CancelledError && format === 'text')
        stderr.write(`job ${id} goes on; "dfctl job cancel ${id}" ends it\n`);
      throw error;
    }
  };
  const show = async (client: ManagerClient, id: number, wait: boolean, manager: ManagerQuestion) => {
    const job = wait ? await follow(client, id, manager) : await client.call('jobs.get', { id }, { signal });
    print(manager, job, jobText(job));
  };
  return {
    async preheat(question, { wait }, manager) {
      const client = await open(manager);
      const body = await preheatBody(question);
      const { job_id: id } = await client.call('preheat.create', { body }, { signal });
      await show(client, id, wait, manager);
    },
    async getJob(id, manager) {
      await show(await open(manager), id, false, manager);
    },
    async listJobs({ type, state, limit }, manager) {
      const client = await open(manager);
      const query = { type, state, page: 1, per_page: limit };
      const { answer: jobs, headers } = await client.callWithHeaders('jobs.list', { query }, { signal });
      const total = Number(headers['x-total-count'] ?? jobs.length);
      const more = total > jobs.length ? `… and ${total - jobs.length} more (--limit)\n` : '';
      print(manager, { jobs, total }, jobsText(jobs) + more);
    },
    async cancelJob(id, manager) {
      const job = await (await open(manager)).call('jobs.cancel', { id }, { signal });
      print(manager, job, jobText(job));
    },
    async retryJob(id, { wait }, manager) {
      const client = await open(manager);
      await client.call('jobs.retry', { id }, { signal });
      await show(client, id, wait, manager);
    },
  };
}
