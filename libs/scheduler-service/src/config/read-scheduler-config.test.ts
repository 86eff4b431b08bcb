import { describe, expect, it } from '@jest/globals';
import { readSchedulerConfig } from './read-scheduler-config.ts';

const read = (text: string) => readSchedulerConfig({ text, path: 'scheduler.yaml', env: {} });
const HOUR_MS = 3_600_000;

describe('readSchedulerConfig', () => {
  it('needs nothing: everything has a default', () => {
    const config = read('');
    expect(config.server).toMatchObject({ port: 8002, requestRateLimit: 4000, logLevel: 'info' });
    expect(config.server.advertiseIP).toMatch(/^[0-9.]+$/);
    expect(config.scheduler).toMatchObject({
      backToSourceCount: 1,
      candidateParentLimit: 3,
      ownCandidateParentLimit: 10,
      originLeaseDeadline: 10_000,
      gc: { pieceDownloadTimeout: HOUR_MS / 2, peerTTL: 24 * HOUR_MS, hostTTL: HOUR_MS },
    });
    expect(config.metrics.listen).toBeUndefined();
  });

  it('understands the keys of older and other installations', () => {
    const config = read(`
server: { listen: { ip: 10.0.0.1, port: 9002 } }
verbose: true
pieceDownloadTimeout: 30s
manager: { enable: false, addr: manager:65003 }
seedPeer: { enable: false }
metrics: { enable: true, addr: ':8000' }
scheduler: { algorithm: ml, backToSourceCount: 3 }
`);
    expect(config.server).toMatchObject({ listenIP: '10.0.0.1', port: 9002, logLevel: 'debug' });
    expect(config.scheduler.gc.pieceDownloadTimeout).toBe(30_000);
    expect(config.seedPeer.enable).toBe(false);
    expect(config.metrics.listen).toEqual({ host: undefined, port: 8000 });
    expect(config.warnings.join('\n')).toContain('scheduler.algorithm: "ml" is not available');
    expect(config.warnings.join('\n')).not.toContain('manager');
    expect(config.manager).toBeUndefined();
  });

  it('takes the keys of the scheduler at the top level, too', () => {
    const { scheduler } = read(`
algorithm: upstream
backToSourceCount: 3
retryBackToSourceLimit: 5
retryLimit: 10
retryInterval: 1s
pieceDownloadTimeout: 30s
`);
    expect(scheduler).toMatchObject({
      algorithm: 'upstream',
      backToSourceCount: 3,
      retryBackToSourceLimit: 5,
      retryLimit: 10,
      retryInterval: 1_000,
      gc: { pieceDownloadTimeout: 30_000 },
    });
  });

  it('lets as many peers to the origin as the algorithm wants', () => {
    expect(read('scheduler: { algorithm: upstream }').scheduler.backToSourceCount).toBe(200);
    expect(read('scheduler: { algorithm: mesh }').scheduler.backToSourceCount).toBe(1);
  });

  it('knows its manager, by address or by URL', () => {
    expect(read('manager: { addr: "manager:65003" }').manager).toMatchObject({
      addr: { host: 'manager', port: 65_003, isSecure: false },
      schedulerClusterID: 1,
      keepAlive: { interval: 5_000 },
    });
    expect(read('').manager).toBeUndefined();
    expect(read('dynconfig: { refreshInterval: 10s }').dynConfig.refreshInterval).toBe(10_000);
  });

  it('keeps its state where the user may write', () => {
    const dirOf = (uid: number) => readSchedulerConfig({ text: '', env: { HOME: '/home/a' }, uid }).server.dataDir;
    expect(dirOf(0)).toBe('/var/lib/dragonfly/scheduler');
    expect(dirOf(1000)).toBe('/home/a/.local/share/dragonfly/scheduler');
  });

  it('warns of an open port, unless only this machine reaches it', () => {
    expect(read('').warnings.join()).toContain('server.tls');
    expect(read('server: { listenIP: 127.0.0.1 }').warnings).toEqual([]);
  });

  it('warns of keys that have no use here', () => {
    const { warnings } = read(`
server: { logDir: /var/log, logMaxSize: 1 }
scheduler: { retryLimit: 10, retryInterval: 1s, retryBackToSourceLimit: 5 }
database: { redis: { addrs: [redis:6379] } }
job: { enable: true }
`);
    for (const key of [
      'server.logDir',
      'server.logMaxSize',
      'retryBackToSourceLimit',
      'retryLimit',
      'retryInterval',
      'database',
      'job',
    ]) {
      expect(warnings.filter((line) => line.includes(key)).length).toBeGreaterThanOrEqual(1);
    }
  });

  it.each([
    ['schedular: {}', 'scheduler'],
    ['server: { prot: 1 }', 'port'],
    ['scheduler: { gc: { peerTTL: 0s } }', 'scheduler.gc.peerTTL'],
    ['scheduler: { backToSourceCount: 0 }', 'scheduler.backToSourceCount'],
    ['server: { requestRateLimit: -1 }', 'server.requestRateLimit'],
    ['server: { tls: { cert: a.pem, key: a.key } }', 'server.tls.caCert'],
    ['scheduler: { retryBackToSourceLimit: 0 }', 'scheduler.retryBackToSourceLimit'],
    ['scheduler: { retryInterval: 0s }', 'scheduler.retryInterval'],
    ['scheduler: { retryInterval: 5 }', 'scheduler.retryInterval'],
    ['manager: { addr: "" }', 'manager.addr'],
    ['manager: { addr: "https://manager:65003" }', 'manager.tls'],
    ['manager: { tls: { cert: a.pem } }', 'manager.tls.caCert'],
    ['manager: { keepAlive: { interval: 0s } }', 'manager.keepAlive.interval'],
    ['dynConfig: { refreshInterval: -1s }', 'dynConfig.refreshInterval'],
    ['peer: { tls: { key: a.key } }', 'peer.tls.caCert'],
    ['server: { listen: { port: 1 }, port: 2 }', 'server.port'],
    ['server: { advertiseIP: nowhere }', 'server.advertiseIP'],
    ["metrics: { enable: true, addr: 'eight' }", 'metrics.addr'],
  ])('refuses %j and names %s', (text, name) => {
    expect(() => read(text)).toThrow(name);
  });

  it('lets the command line override the file', () => {
    const config = readSchedulerConfig({
      text: 'server: { logLevel: warn }',
      logLevel: 'debug',
      console: true,
      env: {},
    });
    expect(config).toMatchObject({ console: true, server: { logLevel: 'debug' } });
  });
});
