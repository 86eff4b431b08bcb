import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { parseServiceArgs } from './service-args.ts';

const program = {
  name: 'dfdaemon',
  version: '1.2.3',
  defaultConfig: '/etc/dragonfly/dfdaemon.yaml',
  envPrefix: 'DFDAEMON',
  helpAfter: 'Commands:\n  mend',
};
const parse = (...args: string[]) => parseServiceArgs(['node', 'dfdaemon', ...args], program);

/** Runs until the process would exit; gives exit code and output. */
function exitOf(...args: string[]): { code: number; out: string } {
  let out = '';
  const print = (text: string | Uint8Array) => ((out += text.toString()), true);
  const mocks = [
    jest.spyOn(process.stdout, 'write').mockImplementation(print),
    jest.spyOn(process.stderr, 'write').mockImplementation(print),
    jest.spyOn(process, 'exit').mockImplementation((code) => {
      throw Object.assign(new Error('exit'), { exitCode: Number(code) });
    }),
  ];
  try {
    parse(...args);
  } catch (error) {
    return { code: (error as { exitCode: number }).exitCode, out };
  } finally {
    for (const mock of mocks) mock.mockRestore();
  }
  throw new Error('did not exit');
}

afterEach(() => {
  for (const name of ['CONFIG', 'LOG_LEVEL', 'CONSOLE']) delete process.env[`DFDAEMON_${name}`];
});

describe('parseServiceArgs', () => {
  it('has a default for everything', () => {
    expect(parse()).toEqual({
      configPath: '/etc/dragonfly/dfdaemon.yaml',
      configGiven: false,
      console: false,
      logLevel: undefined,
    });
  });

  it('takes options and their short forms', () => {
    const expected = { configPath: 'a.yaml', configGiven: true, console: true, logLevel: 'debug' };
    expect(parse('--config', 'a.yaml', '--console', '--log-level', 'debug')).toEqual(expected);
    expect(parse('-c', 'a.yaml', '--console', '-l', 'debug')).toEqual(expected);
  });

  it('takes variables in place of options', () => {
    process.env['DFDAEMON_CONFIG'] = 'b.yaml';
    process.env['DFDAEMON_LOG_LEVEL'] = 'warn';
    expect(parse()).toMatchObject({ configPath: 'b.yaml', configGiven: true, logLevel: 'warn' });
    expect(parse('-l', 'error')).toMatchObject({ logLevel: 'error' });
  });

  it('knows the level names of other daemons', () => {
    expect(parse('-l', 'warning').logLevel).toBe('warn');
    expect(parse('-l', 'PANIC').logLevel).toBe('fatal');
  });

  it('prints version and help and exits 0', () => {
    expect(exitOf('-V')).toEqual({ code: 0, out: '1.2.3\n' });
    expect(exitOf('--help')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/DFDAEMON_CONFIG[^]*\n\nCommands:\n {2}mend\n$/),
    });
  });

  it.each([[['-l', 'loud']], [['--nonsense']], [['extra']]])('refuses %j in one line and exits 1', (args) => {
    const { code, out } = exitOf(...args);
    expect(code).toBe(1);
    expect(out).toMatch(/^error: [^\n]+\n$/);
  });
});
