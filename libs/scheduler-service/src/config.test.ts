import { describe, expect, it } from '@jest/globals';
import { readSchedulerConfig } from './config.ts';

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
  });

  it('warns of an open port, unless only this machine reaches it', () => {
    expect(read('').warnings.join()).toContain('server.tls');
    expect(read('server: { listenIP: 127.0.0.1 }').warnings).toEqual([]);
  });

  it('warns of keys that have no use here, and of a manager', () => {
    const { warnings } = read(`
manager: { addr: 'manager:65003', keepAlive: { interval: 5s } }
scheduler: { retryLimit: 10, retryInterval: 1s, retryBackToSourceLimit: 5 }
database: { redis: { addrs: [redis:6379] } }
job: { enable: true }
`);
    for (const key of ['manager.addr', 'manager.keepAlive', 'retryLimit', 'retryInterval', 'database', 'job']) {
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
