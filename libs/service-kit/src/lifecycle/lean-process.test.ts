import { spawnSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { becomeLean, type Leanness, type LeanProcess } from './lean-process.ts';

/** A process that would be replaced by what is in `calls`. */
function fake(change: Partial<LeanProcess> = {}, leanness?: Leanness) {
  const calls: { file: string; args: string[]; env: Record<string, string> }[] = [];
  const current: LeanProcess = {
    ...{ execPath: '/node', execArgv: ['--enable-source-maps'], argv: ['/node', 'main.mjs', '--config', 'x.yaml'] },
    env: { HOME: '/root', EMPTY: undefined, NODE_OPTIONS: '--trace-warnings' },
    execve: (file, args, env) => void calls.push({ file, args, env }),
    ...change,
  };
  becomeLean(leanness, current);
  return calls;
}

describe('becomeLean', () => {
  it('starts the same program with the same options and arguments, and bounds on memory', () => {
    expect(fake()).toEqual([
      {
        file: '/node',
        args: [
          ...['/node', '--enable-source-maps', '--max-semi-space-size=4', '--optimize-for-size'],
          ...['main.mjs', '--config', 'x.yaml'],
        ],
        env: {
          ...{ HOME: '/root', NODE_OPTIONS: '--trace-warnings' },
          ...{ MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' },
        },
      },
    ]);
  });

  it('bounds memory as a service has it', () => {
    const [call] = fake({}, { semiSpaceMib: 8, optimizeForSize: false });
    expect(call?.args.slice(0, 4)).toEqual(['/node', '--enable-source-maps', '--max-semi-space-size=8', 'main.mjs']);
  });

  it('collects garbage as early as a service wants it', () => {
    const [call] = fake({}, { oldGrowthPercent: 60, optimizeForSize: false });
    expect(call?.args.slice(2, 5)).toEqual(['--max-semi-space-size=4', '--heap-growing-percent=60', 'main.mjs']);
  });

  it('gives V8 nothing that it does not know', () => {
    const [call] = fake({}, { oldGrowthPercent: 60, optimizeForSize: true, helperThreads: 1, tenuresEarly: false });
    const flags = call?.args.slice(2, 7) ?? [];
    expect(flags).toEqual(expect.arrayContaining(['--v8-pool-size=1', '--no-allocation-site-pretenuring']));
    expect(flags).toHaveLength(5);
    expect(spawnSync(process.execPath, [...flags, '--eval', '0'], { env: { NODE_OPTIONS: '' } }).status).toBe(0);
  });

  it.each([
    ['it has been done', { execArgv: ['--max-semi-space-size=8'] }],
    ['an operator has decided', { env: { NODE_OPTIONS: '--trace-gc --max-semi-space-size=64' } }],
    ['a process cannot be replaced', { execve: undefined }],
  ])('leaves the process as it is when %s', (_, change) => {
    expect(fake(change)).toEqual([]);
  });

  it('leaves heaps of malloc as the operator has set them', () => {
    expect(fake({ env: { MALLOC_ARENA_MAX: '8' } })[0]?.env).toMatchObject({ MALLOC_ARENA_MAX: '8' });
  });

  it('keeps the id of the process', () => {
    const script = `
      const { becomeLean } = await import(${JSON.stringify(new URL('./lean-process.ts', import.meta.url).href)});
      process.stdout.write(process.pid + ' ');
      becomeLean();
    `;
    const args = ['--input-type=module', '--eval', script];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env: { NODE_OPTIONS: '' } });
    const [first, second, ...others] = stdout.trim().split(' ');
    expect(others).toEqual([]);
    expect(second).toBe(first);
  });
});
