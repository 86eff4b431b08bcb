import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import { readManagerConfig } from './read-manager-config.ts';

const KEY = 'k'.repeat(32);
const read = (text: string, env: Record<string, string> = {}) =>
  readManagerConfig({ text, path: 'manager.yaml', env: { DRAGONFLY_MANAGER_AUTH_JWT_KEY: KEY, ...env } });
const DAY_MS = 86_400_000;

describe('readManagerConfig', () => {
  it('needs nothing but the key of sessions', () => {
    const config = read('');
    expect(config.server).toMatchObject({
      name: 'd7y/manager',
      grpc: { listen: { host: '0.0.0.0', port: 65_003 }, requestRateLimit: 4000 },
      rest: { addr: { host: undefined, port: 8080 } },
    });
    expect(config.server.grpc.advertiseIP).toMatch(/^[0-9.]+$/);
    expect(config.database).toMatchObject({
      postgres: { host: '127.0.0.1', port: 5432, dbname: 'manager', sslMode: 'disable', migrate: true },
      redis: undefined,
    });
    expect(config).toMatchObject({
      auth: { signup: 'closed', openRoutes: [], cookie: { sameSite: 'lax' } },
      job: { retention: 7 * DAY_MS, syncPeers: { interval: 300_000, batchSize: 500 } },
      metrics: { listen: undefined },
      leaderElection: { enable: true },
    });
    expect(() => readManagerConfig({ text: '', env: {} })).toThrow('auth.jwt.key');
  });

  it('loads what the published examples say', () => {
    const config = read(
      `
console: true
verbose: true
pprofPort: 18066
metrics: { enable: true }
security: { autoIssueCert: false }
`,
      { DRAGONFLY_MANAGER_DATABASE_TYPE: 'mysql', DRAGONFLY_MANAGER_DATABASE_MYSQL_HOST: 'mysql' },
    );
    expect(config).toMatchObject({
      console: true,
      server: { logLevel: 'debug' },
      metrics: { listen: { host: undefined, port: 8000 } },
    });
    for (const key of ['pprofPort', 'security', 'DATABASE_MYSQL_HOST', 'database.type: mysql'])
      expect(config.warnings.join('\n')).toContain(key);
  });

  it('loads the keys of stock managers', () => {
    const config = read(`
server:
  name: d7y/manager
  logDir: /var/log/dragonfly
  logMaxSize: 1024
  grpc: { listenIP: 10.0.0.1, port: { start: 65003, end: 65003 }, tls: { caCert: a, cert: b, key: c }, requestRateLimit: 4000 }
  rest: { addr: ':8080', tls: { cert: d, key: e } }
database:
  type: postgres
  postgres: { user: postgres, password: 1234, host: db, port: 5432, dbname: manager, sslMode: disable, preferSimpleProtocol: false, timezone: UTC, migrate: true }
  redis: { addrs: [redis:6379], masterName: '', username: '', password: dragonfly, db: 0, brokerDB: 1, backendDB: 2, poolSize: 40, poolTimeout: 10s, proxy: { enable: false, addr: ':65100' } }
cache: { redis: { ttl: 5m }, local: { size: 8000, ttl: 3m } }
job: { rateLimit: { capacity: 5 }, gc: { interval: 3h }, preheat: { tls: { insecureSkipVerify: false, caCert: '' }, registryTimeout: 1m }, syncPeers: { interval: 24h, timeout: 10m, batchSize: 500 } }
metrics: { enable: true, addr: ':8000' }
tracing: { protocol: grpc, endpoint: 'jaeger:4317', path: /v1/traces, service-name: manager, headers: {} }
network: { enableIPv6: false }
`);
    expect(config).toMatchObject({
      database: { redis: { addrs: ['redis:6379'], queueDB: 1 }, postgres: { user: 'postgres', host: 'db' } },
      job: { syncPeers: { interval: DAY_MS } },
      tracing: { protocol: 'grpc', endpoint: 'jaeger:4317' },
    });
    expect(config.database.postgres.password?.reveal()).toBe('1234');
  });

  it('makes clusters that are declared', () => {
    const { bootstrap } = read(
      'bootstrap: { clusters: [{ id: 7, name: edge, scopes: { cidrs: [10.0.0.0/8] } }, { id: 8, name: core, isDefault: true }] }',
      { DRAGONFLY_INITIAL_ROOT_PASSWORD: 'of the root', DRAGONFLY_PAT: 'dfp_first' },
    );
    expect(bootstrap.clusters).toMatchObject([
      { id: 7, name: 'edge', isDefault: false, scopes: { cidrs: ['10.0.0.0/8'], hostnames: [], idc: '' } },
      { id: 8, name: 'core', isDefault: true },
    ]);
    expect([bootstrap.rootPassword?.reveal(), bootstrap.token?.reveal()]).toEqual(['of the root', 'dfp_first']);
  });

  it('never shows a secret', () => {
    const config = read('database: { postgres: { password: hidden-1 }, redis: { addrs: [a:1], password: hidden-2 } }', {
      DRAGONFLY_MANAGER_SECRETS_KEY: 'ab'.repeat(32),
      DRAGONFLY_INITIAL_ROOT_PASSWORD: 'hidden-3',
    });
    const shown = inspect(config, { depth: 20 }) + JSON.stringify(config);
    for (const secret of ['hidden-', KEY, 'abab']) expect(shown).not.toContain(secret);
    expect(config.sealingKey?.reveal()).toBe('ab'.repeat(32));
  });

  describe('with secrets in files', () => {
    let dir: string;
    beforeEach(() => {
      dir = mkdtempSync(join(tmpdir(), 'd7y-manager-config-'));
    });
    afterEach(() => rmSync(dir, { recursive: true }));
    const file = (text: string): string => {
      const path = join(dir, 'secret');
      writeFileSync(path, text);
      return path;
    };

    it('reads them, without the newline at the end', () => {
      const { database } = read(`database: { postgres: { passwordFile: ${file('p w\n')} } }`);
      expect(database.postgres.password?.reveal()).toBe('p w');
      const { auth } = readManagerConfig({ text: `auth: { jwt: { keyFile: ${file(KEY)} } }`, env: {} });
      expect(auth.jwt.key.reveal()).toBe(KEY);
    });

    it('wants each one once, and something in it', () => {
      expect(() => read(`database: { postgres: { password: a, passwordFile: ${file('b')} } }`)).toThrow(
        'keep only one',
      );
      expect(() => read(`secrets: { keyFile: ${file('')} }`)).toThrow('is empty');
      expect(() => read('secrets: { keyFile: /nowhere/at/all }')).toThrow('/nowhere/at/all: no such file');
    });
  });

  it('takes no key for sessions that others may know, unless told to', () => {
    const env = { DRAGONFLY_MANAGER_AUTH_JWT_KEY: 'ZHJhZ29uZmx5Cg==' };
    expect(() => read('', env)).toThrow('published');
    expect(() => read('', { DRAGONFLY_MANAGER_AUTH_JWT_KEY: 'short' })).toThrow('shorter than 16');
    const { warnings } = read('auth: { allowInsecureDefaults: true }', env);
    expect(warnings.join()).toContain('auth.allowInsecureDefaults');
  });

  it('warns of doors that stand open', () => {
    const { warnings } = read('auth: { openRoutes: [preheat.create, tasks.list], signup: open }');
    for (const key of ['auth.openRoutes', 'auth.signup', 'server.grpc.tls', 'secrets.key'])
      expect(warnings.join('\n')).toContain(key);
    const quiet = read('server: { grpc: { listenIP: 127.0.0.1 } }', { DRAGONFLY_MANAGER_SECRETS_KEY: 'ab'.repeat(32) });
    expect(quiet.warnings).toEqual([]);
  });

  it('warns of keys of preheats that only workers obey', () => {
    const text =
      'job: { preheat: { tls: { caCert: /ca.pem }, maxLayers: 5, registryTimeout: 5s, allowPrivateNetworks: true } }';
    const { warnings } = read(text);
    for (const key of ['job.preheat.tls', 'job.preheat.maxLayers', 'job.preheat.registryTimeout'])
      expect(warnings.join('\n')).toContain(key);
    expect(warnings.join('\n')).not.toMatch(/defaultPlatforms|allowPrivateNetworks/);
  });

  it.each([
    ['servre: {}', 'server'],
    ['server: { grpc: { prot: 1 } }', 'port'],
    ['server: { grpc: { tls: { cert: a, key: b } } }', 'server.grpc.tls.caCert'],
    ['server: { grpc: { requestRateLimit: 0 } }', 'server.grpc.requestRateLimit'],
    ['server: { rest: { addr: eight } }', 'server.rest.addr'],
    ['auth: { signup: sometimes }', 'auth.signup'],
    ['auth: { openRoutes: [users] }', 'auth.openRoutes[0]'],
    ['database: { postgres: { sslMode: prefer } }', 'database.postgres.sslMode'],
    ['database: { redis: { addrs: redis:6379 } }', 'database.redis.addrs'],
    ['secrets: { key: abc }', 'secrets.key'],
    ['job: { preheat: { defaultPlatforms: [amd64] } }', 'job.preheat.defaultPlatforms[0]'],
    ['job: { retention: 0s }', 'job.retention'],
    ['cors: { allowedOrigins: ["*"] }', 'cors.allowedOrigins[0]'],
    ['bootstrap: { clusters: [{ id: 0, name: a }] }', 'bootstrap.clusters[0].id'],
  ])('refuses %j and names %s', (text, name) => {
    expect(() => read(text)).toThrow(name);
  });

  it('lets the command line and the environment override the file', () => {
    const config = readManagerConfig({
      ...{ text: 'server: { logLevel: warn, name: a }', logLevel: 'debug', console: true },
      env: { DRAGONFLY_MANAGER_AUTH_JWT_KEY: KEY, DRAGONFLY_MANAGER_SERVER_NAME: 'b' },
    });
    expect(config).toMatchObject({ console: true, server: { logLevel: 'debug', name: 'b' } });
  });
});
