import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { Secret } from '../observe/secret.ts';
import { ConfigError } from './config-error.ts';
import { byteRate, byteSize, duration, httpUrl, ipAddress, port, secretString } from './fields.ts';
import { readConfig } from './read-config.ts';

const schema = z.strictObject({
  host: z.strictObject({ ip: ipAddress().optional(), hostname: z.string().optional() }).prefault({}),
  gc: z
    .strictObject({
      interval: duration().default(900_000),
      policy: z.strictObject({ taskTTL: duration().default(1), diskThreshold: byteSize().default(0) }).prefault({}),
    })
    .prefault({}),
  proxy: z
    .strictObject({
      port: port().default(4001),
      rate: byteRate().optional(),
      rules: z.array(z.strictObject({ regex: z.string(), useTLS: z.boolean().default(false) })).default([]),
      password: secretString().optional(),
      mirror: httpUrl().optional(),
      labels: z.record(z.string(), z.strictObject({ color: z.string() })).default({}),
    })
    .prefault({}),
});

const read = (text: string, more: Partial<Parameters<typeof readConfig<typeof schema>>[0]> = {}) =>
  readConfig({ path: 'dfdaemon.yaml', text, schema, env: {}, ...more });

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
  throw new Error('nothing was wrong');
}

describe('readConfig', () => {
  it('fills in defaults for an empty file', () => {
    expect(read('').config).toEqual({
      host: {},
      gc: { interval: 900_000, policy: { taskTTL: 1, diskThreshold: 0 } },
      proxy: { port: 4001, rules: [], labels: {} },
    });
  });

  it('turns durations, sizes, rates, addresses and secrets into values', () => {
    const { config } = read(`
host: { ip: '::1' }
gc: { interval: 1h30m, policy: { taskTTL: 500ms, diskThreshold: 50GB } }
proxy: { port: 8080, rate: 200Mi/s, password: 12345, mirror: 'https://registry.example:5000' }
`);
    expect(config.gc).toEqual({ interval: 5_400_000, policy: { taskTTL: 500, diskThreshold: 50e9 } });
    expect(config.proxy).toMatchObject({ port: 8080, rate: 209_715_200, mirror: 'https://registry.example:5000' });
    expect(config.proxy.password).toBeInstanceOf(Secret);
    expect(config.proxy.password?.reveal()).toBe('12345');
  });

  it('weakness 43: names path, line and the nearest known key of every unknown one', () => {
    const text = 'gc:\n  policy:\n    taskTLL: 5m\nproxy:\n  rules:\n    - regex: .*\n      useTls: true\nzzz: 1\n';
    expect(problemsOf(() => read(text))).toEqual([
      'dfdaemon.yaml:3: gc.policy.taskTLL: unknown key, did you mean taskTTL?',
      'dfdaemon.yaml:7: proxy.rules[0].useTls: unknown key, did you mean useTLS?',
      'dfdaemon.yaml:8: zzz: unknown key, known here: gc, host, proxy',
    ]);
  });

  it('finds unknown keys below free-form names, and in objects that zod would let pass', () => {
    expect(problemsOf(() => read('proxy:\n  labels:\n    any:\n      colour: red\n'))).toEqual([
      'dfdaemon.yaml:4: proxy.labels.any.colour: unknown key, did you mean color?',
    ]);
    const loose = z.object({ inner: z.object({ known: z.number().optional() }).optional() });
    expect(problemsOf(() => readConfig({ text: 'inner: { knwon: 1 }', schema: loose, env: {} }))).toEqual([
      'configuration:1: inner.knwon: unknown key, did you mean known?',
    ]);
  });

  it('says in one line what is wrong with a value, and where', () => {
    const text = 'gc:\n  interval: soon\nproxy:\n  port: 70000\n  mirror: ftp://x\nhost:\n  ip: 1.2.3\n';
    expect(problemsOf(() => read(text)).toSorted()).toEqual([
      'dfdaemon.yaml:2: gc.interval: expected a duration such as 30s, 500ms or 1h30m, not "soon"',
      'dfdaemon.yaml:4: proxy.port: expected a port from 0 to 65535, not 70000',
      'dfdaemon.yaml:5: proxy.mirror: expected a URL such as https://registry.example:5000, not "ftp://x"',
      'dfdaemon.yaml:7: host.ip: expected an IP address, not "1.2.3"',
    ]);
    expect(() => read(text)).toThrow(/^[^\n]+ \(and 3 more\)$/);
  });

  it('never prints a secret that is wrong', () => {
    const [problem] = problemsOf(() => read('proxy:\n  password: [hunter2]\n'));
    expect(problem).toBe('dfdaemon.yaml:2: proxy.password: expected text');
  });

  it('warns of keys that are known elsewhere, with everything below them', () => {
    const { warnings } = read('gc:\n  interval: 5m\n  colour: { a: 1 }\nsecurity:\n  enable: true\n', {
      knownElsewhere: ['security', 'gc.colour', 'not.there'],
    });
    expect(warnings).toEqual([
      'dfdaemon.yaml:4: security: has no effect here and is ignored',
      'dfdaemon.yaml:3: gc.colour: has no effect here and is ignored',
    ]);
  });

  it('moves aliases to their new place and complains in the words of the file', () => {
    const aliases = { 'storage.taskExpireTime': 'gc.policy.taskTTL' };
    expect(read('storage: { taskExpireTime: 6h }', { aliases }).config.gc.policy.taskTTL).toBe(21_600_000);
    expect(problemsOf(() => read('a: 1\nstorage:\n  taskExpireTime: x\n', { aliases, knownElsewhere: ['a'] }))).toEqual(
      ['dfdaemon.yaml:3: gc.policy.taskTTL: expected a duration such as 30s, 500ms or 1h30m, not "x"'],
    );
    expect(
      problemsOf(() => read('storage: { taskExpireTime: 6h }\ngc: { policy: { taskTTL: 1h } }\n', { aliases })),
    ).toEqual(['dfdaemon.yaml:1: storage.taskExpireTime: the same setting as gc.policy.taskTTL, keep only that one']);
  });

  it('expands variables, gives unquoted ones their type and keeps quoted ones text', () => {
    const env = { PORT: '9000', NAME: '007', EMPTY: '' };
    const { config } = read('proxy:\n  port: ${PORT}\nhost:\n  hostname: "${NAME}-${EMPTY:-x}-${NONE:-y}-$${PORT}"\n', {
      env,
    });
    expect(config.proxy.port).toBe(9000);
    expect(config.host.hostname).toBe('007-x-y-${PORT}');
  });

  it('cannot be made to read a variable as YAML', () => {
    const env = { NAME: 'a: b\nproxy: { port: 1 }' };
    expect(read('host: { hostname: "${NAME}" }', { env }).config.host.hostname).toBe(env.NAME);
  });

  it('names a variable that is missing', () => {
    expect(problemsOf(() => read('proxy:\n  password: ${TOKEN}\n'))).toEqual([
      'dfdaemon.yaml:2: proxy.password: environment variable TOKEN is not set, set it or write ${TOKEN:-default}',
    ]);
  });

  it('names the line of broken YAML, of a repeated key and of a list in place of settings', () => {
    expect(problemsOf(() => read('gc:\n  interval: [5m\n'))[0]).toMatch(/^dfdaemon\.yaml:[23]: not valid YAML: /);
    expect(problemsOf(() => read('gc: {}\ngc: {}\n'))[0]).toMatch(/^dfdaemon\.yaml:2: not valid YAML: .*unique/);
    expect(problemsOf(() => read('- 1\n'))).toEqual(['dfdaemon.yaml:1: expected keys and values at the top level']);
  });

  it('names the line of what reads as a reference to an anchor and is none, and says no to more references than a configuration needs', () => {
    expect(problemsOf(() => read('gc: {}\nhosts: [*.example.com]\n'))).toEqual([
      'dfdaemon.yaml:2: *.example.com names no anchor; put a text that begins with * into quotes',
    ]);
    const doublings = Array.from(
      { length: 12 },
      (_, level) => `a${level + 1}: &a${level + 1} [*a${level}, *a${level}]`,
    );
    expect(problemsOf(() => read(['a0: &a0 [1]', ...doublings, ''].join('\n')))[0]).toMatch(
      /^dfdaemon\.yaml:1: not valid YAML: .*alias/,
    );
  });

  it('reads a file, and names one that is not there unless it may be missing', () => {
    const directory = mkdtempSync(join(tmpdir(), 'd7y-config-'));
    try {
      const path = join(directory, 'a.yaml');
      expect(problemsOf(() => readConfig({ path, schema, env: {} }))).toEqual([
        `${path}: no such file or directory, create it or configure another path`,
      ]);
      expect(readConfig({ path, schema, env: {}, optional: true }).config.proxy.port).toBe(4001);
      writeFileSync(path, 'proxy: { port: 1 }');
      expect(readConfig({ path, schema, env: {} }).config.proxy.port).toBe(1);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('is not fooled by names of built-in properties', () => {
    expect(problemsOf(() => read('constructor: 1\n'))[0]).toMatch(/^dfdaemon\.yaml:1: constructor: unknown key/);
    expect(problemsOf(() => read('__proto__: { port: 1 }\n'))[0]).toMatch(/unknown key/);
  });
});
