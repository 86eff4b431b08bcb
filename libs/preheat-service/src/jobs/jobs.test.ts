import { once } from 'node:events';
import { Code, ConnectError } from '@connectrpc/connect';
import { migrateDatabase } from '@d7y/manager-db';
import { JobCancelledError } from '@d7y/preheat-queue';
import { startTestDatabases, type TestDatabases } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startJobRig, taskOf } from './_rig.ts';

const FILE = 'https://files.example/a.bin';
const SIGNED = 'https://files.example/b.bin?part=1&X-Amz-Signature=planted';
const ALL = { type: 'file', urls: [FILE], scope: 'all_peers' };

let databases: TestDatabases;

beforeAll(async () => {
  databases = await startTestDatabases({ prepare: migrateDatabase });
}, 60_000);
afterAll(async () => {
  await databases?.[Symbol.asyncDispose]();
});

const full = () => Promise.reject(new ConnectError('no room', Code.ResourceExhausted));
/** Until whoever asked is gone. */
const forever = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort');
  throw new ConnectError('nobody waits', Code.Canceled);
};

describe('a preheat of files', () => {
  it('brings each to every host, once, and shows no signature', async () => {
    await using rig = await startJobRig(databases, ['a', 'b', 'c']);
    const job = await rig.accept('preheat', { ...ALL, url: SIGNED });
    expect(await rig.finish(job)).toEqual({ outcome: 'SUCCESS' });
    for (const { downloads, held } of rig.daemons) {
      expect(downloads.map(({ url }) => url).sort()).toEqual([FILE, SIGNED]);
      expect([...held.keys()].sort()).toEqual([taskOf(FILE), taskOf(SIGNED)].sort());
    }
    const result = await rig.resultOf(job);
    expect([result.success_tasks.length, result.failure_tasks]).toEqual([6, []]);
    expect(JSON.stringify([result, await rig.work.layers(job.jobId)])).not.toContain('planted');
  });

  it('leaves alone who has them, and believes nobody who does not say so afterwards', async () => {
    await using rig = await startJobRig(databases, ['a', 'b']);
    const [a, b] = rig.daemons;
    a?.held.set(taskOf(FILE), true);
    if (b !== undefined) b.forgets = true;
    const job = await rig.accept('preheat', ALL);
    const report = await rig.finish(job);
    expect(report.outcome).toBe('FAILURE');
    expect(report.error).toContain('on b: it says that it has it no more');
    expect(a?.downloads).toEqual([]);
  });

  it('fails with file, host and reason where a host cannot, and tries only that host again', async () => {
    await using rig = await startJobRig(databases, ['a', 'b']);
    const [a, b] = rig.daemons;
    if (a === undefined || b === undefined) throw new TypeError('two daemons');
    b.trouble = full;
    const job = await rig.accept('preheat', ALL);
    const { outcome, error } = await rig.finish(job);
    expect([outcome, error]).toEqual(['FAILURE', `${FILE} on b: no room`]);
    expect(b.downloads.length).toBeGreaterThan(1);
    expect(await rig.resultOf(job)).toMatchObject({
      success_tasks: [{ hostname: 'a' }],
      failure_tasks: [{ hostname: 'b', description: 'no room' }],
    });

    await rig.end(job);
    const options = { now: new Date(), timeoutMs: () => 60_000, needsSecret: () => false };
    expect(await rig.intake.beginAnew(job.jobId, options)).toBe('begun');
    b.trouble = () => Promise.resolve();
    expect(await rig.finish({ ...job, attempt: 2 })).toEqual({ outcome: 'SUCCESS' });
    expect([a.downloads.length, b.held.get(taskOf(FILE))]).toEqual([1, true]);
  });

  it('asks a scheduler that no manager has heard of for long, where there is no other', async () => {
    await using rig = await startJobRig(databases, ['a'], { activeUntil: new Date(0) });
    expect(await rig.finish(await rig.accept('preheat', ALL))).toEqual({ outcome: 'SUCCESS' });
  });

  it('stops when it is cancelled, and takes that for no failure of a file', async () => {
    await using rig = await startJobRig(databases, ['a']);
    const [daemon] = rig.daemons;
    const stop = new AbortController();
    const begun = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    if (daemon !== undefined)
      daemon.trouble = async (signal) => {
        begun.resolve();
        await forever(signal).finally(gone.resolve);
      };
    const job = await rig.accept('preheat', ALL);
    const step = await rig.advance(job);
    const [message] = step.kind === 'layers' ? step.layers : [];
    if (message === undefined) throw new TypeError('one layer');
    const layer = rig.layer(message, { signal: stop.signal });
    await begun.promise;
    stop.abort(new JobCancelledError('the job was cancelled'));
    await expect(layer).rejects.toThrow('the job was cancelled');
    await gone.promise;
    expect((await rig.work.layers(job.jobId)).map(({ state }) => state)).toEqual(['STARTED']);
  });

  it('ends with its time, and says so', async () => {
    await using rig = await startJobRig(databases, ['a']);
    for (const daemon of rig.daemons) daemon.trouble = forever;
    const job = await rig.accept('preheat', ALL, 2_000);
    expect(await rig.finish(job)).toEqual({
      outcome: 'FAILURE',
      error: expect.stringContaining('the job took longer than it may'),
    });
  });

  it('does nothing for an attempt that nobody wants any more', async () => {
    await using rig = await startJobRig(databases, ['a']);
    const job = await rig.accept('preheat', ALL);
    const step = await rig.advance(job);
    const [message] = step.kind === 'layers' ? step.layers : [];
    if (message === undefined) throw new TypeError('one layer');
    await rig.end(job);
    expect(await rig.layer(message)).toEqual([]);
    expect(await rig.finish(job)).toEqual({ outcome: 'FAILURE', error: 'nobody wants it any more' });
    expect(rig.daemons.flatMap(({ downloads }) => downloads)).toEqual([]);
  });
});

describe('a question for a task', () => {
  it('is answered with who has it, whole or in part', async () => {
    await using rig = await startJobRig(databases, ['a', 'b', 'c']);
    rig.daemons[0]?.held.set(taskOf(FILE), true);
    rig.daemons[2]?.held.set(taskOf(FILE), false);
    const job = await rig.accept('get_task', { url: FILE });
    expect(await rig.finish(job)).toEqual({ outcome: 'SUCCESS' });
    expect((await rig.resultOf(job)).peers).toMatchObject([
      { id: 'a', task_id: taskOf(FILE), host_type: 'normal', IsFinished: true },
      { id: 'c', IsFinished: false },
    ]);
  });
});

describe('a question for tasks', () => {
  it('is answered with those that the schedulers know, the latest first, and no secret of a URL', async () => {
    await using rig = await startJobRig(databases, ['a']);
    const job = await rig.accept('list_tasks', {});
    expect(await rig.finish(job)).toEqual({ outcome: 'SUCCESS' });
    const { tasks, ...rest } = await rig.resultOf(job);
    expect(rest).toMatchObject({ is_complete: true });
    expect(tasks).toMatchObject([
      { id: 'b1', state: 'Running', peer_count: 1, content_length: 7, piece_length: null },
      { id: 'a1', peer_count: 2, updated_at: '1970-01-01T00:00:01.000Z' },
    ]);
    expect(JSON.stringify(tasks)).not.toContain('secret');
  });

  it('is answered with those it is about', async () => {
    await using rig = await startJobRig(databases, ['a']);
    for (const args of [{ state: 'Running' }, { task_id: 'b' }, { url: 'http://origin/b' }]) {
      const job = await rig.accept('list_tasks', args);
      await rig.finish(job);
      expect((await rig.resultOf(job)).tasks).toMatchObject([{ id: 'b1' }]);
    }
  });
});

describe('peers that are brought up to date', () => {
  it('are those that the schedulers of a cluster name now', async () => {
    await using rig = await startJobRig(databases, ['a', 'b']);
    const job = await rig.accept('sync_peers', {});
    expect(await rig.finish(job)).toEqual({ outcome: 'SUCCESS' });
    expect(await rig.resultOf(job)).toMatchObject({ peers: 2 });
    const { rows } = await rig.peers.page({}, { offset: 0, limit: 10 });
    expect(rows.map(({ hostName, state }) => `${hostName} ${state}`).sort()).toEqual(['a active', 'b active']);
  });
});

describe('the removal of a task', () => {
  it('is asked of those who have it, and names who could not', async () => {
    await using rig = await startJobRig(databases, ['a', 'b', 'c']);
    const [a, b, c] = rig.daemons;
    for (const daemon of [a, c]) daemon?.held.set(taskOf(FILE), true);
    if (c !== undefined) c.trouble = () => Promise.reject(new ConnectError('it is in use', Code.FailedPrecondition));
    const job = await rig.accept('delete_task', { task_id: taskOf(FILE) });
    await rig.finish(job);
    expect(await rig.resultOf(job)).toMatchObject({
      success_tasks: [{ hostname: 'a' }],
      failure_tasks: [{ hostname: 'c', description: 'it is in use' }],
    });
    expect([a?.held.size, b?.deleted, c?.held.size]).toEqual([0, [], 1]);
  });

  it('fails where nobody could', async () => {
    await using rig = await startJobRig(databases, ['a']);
    const [a] = rig.daemons;
    a?.held.set(taskOf(FILE), true);
    if (a !== undefined) a.trouble = () => Promise.reject(new ConnectError('it is in use', Code.FailedPrecondition));
    const job = await rig.accept('delete_task', { url: FILE });
    expect(await rig.finish(job)).toEqual({ outcome: 'FAILURE', error: 'a: it is in use' });
  });
});
