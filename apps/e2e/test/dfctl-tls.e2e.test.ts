import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeServerCertificate, SchedulerNode, type ServerCertificate, tempDir } from '@d7y/testkit';
import { describe, expect, it } from '@jest/globals';
import { runApp } from './_program.ts';

describe('dfctl swarm, of a scheduler with certificates', () => {
  it('lists for operators, and only what it can verify', async () => {
    await using dir = await tempDir('d7y-dfctl-tls');
    const make = async (name: string): Promise<ServerCertificate> => {
      await mkdir(join(dir.path, name));
      return makeServerCertificate(join(dir.path, name), [], 'serverAuth,clientAuth');
    };
    const trusted = await make('trusted');
    const stranger = await make('stranger');
    await using scheduler = await SchedulerNode.prepare({
      parentDir: dir.path,
      config: {
        server: { tls: { caCert: trusted.caFile, cert: trusted.certFile, key: trusted.keyFile } },
        access: { operators: ['localhost'] },
      },
    });
    await scheduler.start();
    const list = (...args: string[]) =>
      runApp('dfctl', { args: ['swarm', 'tasks', '--scheduler', scheduler.address, '--format', 'json', ...args] });

    const identity = ['--cert', trusted.certFile, '--key', trusted.keyFile];
    const listed = await list('--ca', trusted.caFile, ...identity);
    expect(listed).toMatchObject({ code: 0, stderr: [] });
    expect(JSON.parse(listed.stdout[0] ?? '')).toEqual({ subject: 'tasks', rows: [], isComplete: true });

    for (const refused of [
      await list(),
      await list('--ca', stranger.caFile, ...identity),
      await list('--ca', trusted.caFile),
      await list('--ca', trusted.caFile, '--cert', stranger.certFile, '--key', stranger.keyFile),
      await list('--ca', trusted.caFile, '--cert', trusted.certFile),
      await list('--ca', join(dir.path, 'nothing'), ...identity),
    ])
      expect(refused.code).toBe(1);
  });
});
