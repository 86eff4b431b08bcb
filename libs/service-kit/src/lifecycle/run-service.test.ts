import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SERVICE = fileURLToPath(new URL('./_service.ts', import.meta.url));

function launch(what: string) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = ['--conditions=@d7y/source', '--disable-warning=ExperimentalWarning', SERVICE, what];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { out: '', err: '' };
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const { promise: disposing, resolve: seesDisposing } = Promise.withResolvers<void>();
  child.stdout.on('data', (chunk: Buffer) => {
    output.out += chunk.toString();
    if (output.out.includes('ready')) resolve();
    if (output.out.includes('disposing')) seesDisposing();
  });
  child.stderr.on('data', (chunk: Buffer) => (output.err += chunk.toString()));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number, ...output }));
  return { child, ready, disposing, ended };
}

describe('runService', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGQUIT'] as const)('disposes the service on %s and exits 0', async (signal) => {
    const { child, ready, ended } = launch('runs');
    await ready;
    child.kill(signal);
    expect(await ended).toEqual({ code: 0, out: 'ready\ndisposing\ndisposed\n', err: '' });
  });

  it('prints one line and exits 1 when the start fails', async () => {
    expect(await launch('fails').ended).toEqual({
      code: 1,
      out: '',
      err: '/var/lib/x: permission denied, change its owner or mode or run as another user\n',
    });
  });

  it('stops a start under way, cleanly', async () => {
    const { child, ready, ended } = launch('slow start');
    await ready;
    child.kill('SIGTERM');
    expect(await ended).toEqual({ code: 0, out: 'ready\n', err: '' });
  });

  it('exits 2 by force when disposing takes longer than the grace period', async () => {
    const { child, ready, ended } = launch('hangs');
    await ready;
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ code: 2, err: 'not stopped within 200 ms, ending by force\n' });
  });

  it('exits 2 by force when something keeps the process alive after disposing', async () => {
    const { child, ready, ended } = launch('leaks');
    await ready;
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ code: 2, out: expect.stringContaining('disposed') });
  });

  it('ends at once on a second signal', async () => {
    const { child, ready, disposing, ended } = launch('hangs');
    await ready;
    child.kill('SIGTERM');
    await disposing;
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 2, err: 'SIGINT again, ending by force\n' });
  });

  it('reports a rejection nobody caught, without secrets, disposes and exits 1', async () => {
    const { code, out, err } = await launch('rejects').ended;
    expect([code, out]).toEqual([1, 'ready\ndisposing\ndisposed\n']);
    expect(err).toContain('uncaught: Error: nobody caught me, token=[secret]');
  });

  it('exits 0 when the service finishes by itself, 1 when it breaks', async () => {
    expect(await launch('finishes').ended).toMatchObject({ code: 0, out: expect.stringContaining('disposed') });
    expect(await launch('breaks').ended).toMatchObject({
      code: 1,
      err: 'broke\n',
      out: expect.stringContaining('disposed'),
    });
  });
});
