import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { duration } from './fields.ts';
import { readConfig } from './read-config.ts';

const schema = z.object({
  server: z.object({ name: z.string().default('a'), logLevel: z.string().default('info') }).prefault({}),
  redis: z
    .object({ addrs: z.array(z.string()).default([]), queueDB: z.int().default(0), ttl: duration().default(1) })
    .prefault({}),
  tracing: z.object({ 'service-name': z.string().default('x') }).prefault({}),
});

const read = (env: Record<string, string>, text = '') =>
  readConfig({
    ...{ path: 'a.yaml', text, schema, env, envPrefix: 'D7Y' },
    aliases: { 'redis.db': 'redis.queueDB' },
    knownElsewhere: ['old.key'],
  });

describe('variables of the environment', () => {
  it('win over the file, with or without an underscore between the words of a key', () => {
    const { config } = read(
      { D7Y_SERVER_NAME: 'b', D7Y_SERVER_LOG_LEVEL: 'warn', D7Y_REDIS_QUEUEDB: '3', D7Y_REDIS_TTL: '2s' },
      'server: { name: c }',
    );
    expect(config).toMatchObject({ server: { name: 'b', logLevel: 'warn' }, redis: { queueDB: 3, ttl: 2000 } });
    expect(read({ D7Y_TRACING_SERVICE_NAME: 'y' }).config.tracing['service-name']).toBe('y');
  });

  it('hold lists and texts as YAML would', () => {
    expect(read({ D7Y_REDIS_ADDRS: '["a:1", b:2]' }).config.redis.addrs).toEqual(['a:1', 'b:2']);
    expect(read({ D7Y_SERVER_NAME: 'key: value' }).config.server.name).toBe('key: value');
    expect(read({ D7Y_SERVER_NAME: '' }).config.server.name).toBe('');
  });

  it('may use the other names of keys', () => {
    expect(read({ D7Y_REDIS_DB: '7' }).config.redis.queueDB).toBe(7);
    expect(read({ D7Y_OLD_KEY: '7' }).warnings).toEqual(['D7Y_OLD_KEY: old.key: has no effect here and is ignored']);
  });

  it('are named when their value is of no use', () => {
    expect(() => read({ D7Y_REDIS_QUEUE_DB: 'seven' })).toThrow(/^D7Y_REDIS_QUEUE_DB: redis\.queueDB: /);
    expect(() => read({ D7Y_REDIS_DB: 'seven' })).toThrow(/^D7Y_REDIS_DB: redis\.queueDB: /);
  });

  it('that name no key are told of, but not those of Kubernetes', () => {
    const { warnings } = read({
      ...{ D7Y_SERVER_NAEM: 'x', D7YX: 'y', D7Y_SERVICE_HOST: '10.0.0.1', D7Y_SERVICE_PORT_HTTP: '80' },
      ...{ D7Y_PORT: 'tcp://10.0.0.1:80', D7Y_PORT_80_TCP_ADDR: '10.0.0.1' },
    });
    expect(warnings).toEqual(['D7Y_SERVER_NAEM: names no key of the configuration and is ignored']);
  });
});
