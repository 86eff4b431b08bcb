import { describe, expect, it } from '@jest/globals';
import { ChildProgram } from '../src/process/child-program.ts';
import { requirePrograms } from '../src/process/programs.ts';
import { run } from '../src/process/run.ts';
import { cpuSecondsOf } from '../src/process/usage.ts';

const node = (source: string) =>
  ChildProgram.start(process.execPath, ['-e', source], { env: { NODE_OPTIONS: '' }, name: 'probe' });
const STAY = 'setInterval(() => {}, 1000);';

describe('ChildProgram', () => {
  it('collects lines of both outputs and tells how the program ended', async () => {
    await using program = await node('console.log("out"); console.error("err"); process.exitCode = 3');
    expect(await program.exited).toEqual({ code: 3, signal: null });
    expect(program.lines.toSorted()).toEqual(['err', 'out']);
    expect(program.stdoutLines).toEqual(['out']);
  });

  it('waits for a line', async () => {
    await using program = await node(`setTimeout(() => console.log("listening on 80"), 20); ${STAY}`);
    expect(await program.waitForLine(/listening/)).toBe('listening on 80');
  });

  it('does not wait for a line of a program that has ended', async () => {
    await using program = await node('console.log("no such config"); process.exit(1)');
    await expect(program.waitForLine(/listening/)).rejects.toThrow(/exit code 1.*no such config/s);
  });

  it('ends a program that ignores SIGTERM', async () => {
    const program = await ChildProgram.start(
      process.execPath,
      ['-e', `process.on("SIGTERM", () => {}); console.log("up"); ${STAY}`],
      {
        env: { NODE_OPTIONS: '' },
        stopTimeoutMs: 50,
      },
    );
    await program.waitForLine(/up/);
    await program[Symbol.asyncDispose]();
    expect(program.end).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('measures memory and processor time', async () => {
    await using program = await node(
      `const held = Buffer.alloc(1e8, 1); for (let i = 0; i < 3e8; i++); console.log("done"); ${STAY}`,
    );
    await program.waitForLine(/done/);
    const { rssBytes, peakRssBytes, cpuSeconds } = program.usage();
    expect(rssBytes).toBeGreaterThan(1e8);
    expect(peakRssBytes).toBeGreaterThanOrEqual(rssBytes);
    expect(cpuSeconds).toBeGreaterThan(0);
  });
});

describe('cpuSecondsOf', () => {
  it('is not confused by a name with spaces and brackets', () => {
    expect(cpuSecondsOf('42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0')).toBe(3);
  });
});

describe('run', () => {
  it('feeds input and returns output', async () => {
    expect((await run('cat', [], { input: 'hello' })).stdout).toBe('hello');
  });

  it('fails with the program’s last words', async () => {
    await expect(run('sh', ['-c', 'echo broken >&2; exit 4'])).rejects.toMatchObject({
      exitCode: 4,
      message: /broken/,
    });
  });

  it('ends a program that takes too long', async () => {
    await expect(run('sleep', ['60'], { timeoutMs: 50 })).rejects.toThrow('was killed');
  });
});

describe('requirePrograms', () => {
  it('names the package of what is missing', () => {
    expect(() => requirePrograms(['htpasswd', 'docker-registry'], '/nowhere')).toThrow(
      /apt-get install .*apache2-utils docker-registry/,
    );
  });
});
