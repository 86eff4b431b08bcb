import { describe, expect, it } from '@jest/globals';
import { defaultDirectories } from '@d7y/service-kit';
import { readDfdaemonConfig } from './read-dfdaemon-config.ts';

const read = (text: string) => readDfdaemonConfig({ text, env: {}, uid: 0 });

describe('readDfdaemonConfig', () => {
  it('has the published defaults', () => {
    const { config, warnings } = read('');
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      download: {
        server: { socketPath: '/var/run/dragonfly/dfdaemon.sock', socketMode: 0o660 },
        concurrentPieceCount: 8,
      },
      upload: { server: { port: 4000 }, disableShared: false },
      storage: { dir: '/var/lib/dragonfly', server: { tcpPort: 4005 } },
      scheduler: { announceInterval: 300_000 },
      gc: { interval: 900_000, policy: { taskTTL: 720 * 3_600_000, diskHighThresholdPercent: 80 } },
      proxy: {
        server: { ip: '127.0.0.1', port: 4001 },
        registryMirror: { addr: 'https://index.docker.io', dynamic: true },
        release: 'verified',
      },
      metrics: { server: { port: 4002 } },
      health: { server: { port: 4003 } },
      seedPeer: { enable: false, type: 'super' },
    });
    expect(config.proxy.rules[0]?.regex.test('https://x/v2/a/blobs/sha256:1')).toBe(true);
    expect(config.proxy.rules[0]?.filteredQueryParams).toContain('ns');
  });

  it('understands older names', () => {
    const { config } = read(`
server: { listen: { ip: 0.0.0.0, port: 65001 } }
keepStorage: false
storage: { taskExpireTime: 6h, diskGCThreshold: 50Gi, diskGCThresholdPercent: 0.8 }
scheduler: { netAddrs: [{ type: tcp, addr: scheduler:8002 }] }
proxy:
  registryMirror: { url: 'https://ghcr.io', dynamic: false }
  proxies: [{ regx: 'blobs/.*', useHTTPS: true, direct: true }]
`);
    expect(config.proxy.server).toMatchObject({ ip: '0.0.0.0', port: 65001 });
    expect(config.storage).toMatchObject({ keep: false, diskGCThreshold: 50 * 2 ** 30 });
    expect(config.gc.policy).toMatchObject({
      taskTTL: 6 * 3_600_000,
      diskThreshold: 0,
      diskHighThresholdPercent: 80,
    });
    expect(config.scheduler.netAddrs).toEqual([{ type: 'tcp', addr: 'scheduler:8002' }]);
    expect(config.proxy.registryMirror).toMatchObject({ addr: 'https://ghcr.io', dynamic: false });
    expect(config.proxy.rules[0]).toMatchObject({ useTls: true, direct: true });
    expect(config.proxy.rules[0]?.regex.source).toBe('blobs\\/.*');
  });

  it('takes limits by both families of names, and 0 as none', () => {
    const { config } = read(`
download: { totalRateLimit: 1Gi, perPeerRateLimit: 200Mi, backToSourceBandwidthLimit: 0, pieceSize: 4Mi, pieceTimeout: 360s }
scheduler: { scheduleTimeout: 3h, maxScheduleCount: 7 }
proxy: { prefetchBandwidthLimit: 10GB }
`);
    expect(config.download).toMatchObject({
      bandwidthLimit: 2 ** 30,
      perPeerRateLimit: 200 * 2 ** 20,
      pieceSize: 4 * 2 ** 20,
      pieceTimeout: 60_000,
    });
    expect(config.download.backToSourceBandwidthLimit).toBeUndefined();
    expect(config.scheduler).toMatchObject({ scheduleTimeout: 60_000, maxScheduleCount: 7 });
    expect(config.proxy.prefetchBandwidthLimit).toBe(1e10);
  });

  it('warns of a key that has an effect elsewhere only', () => {
    const { warnings } = read('backend: { enableHickoryDNS: true }');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('backend.enableHickoryDNS');
  });

  it('names the nearest key for one it does not know', () => {
    expect(() => read('proxy: { registryMiror: {} }')).toThrow(/did you mean registryMirror\?/);
  });

  it.each([
    ['upload: { server: { cert: /a.pem } }', /upload\.server\.caCert: missing/],
    ['upload: { client: { caCert: /a, cert: /b } }', /upload\.client\.key: missing/],
    ['scheduler: { key: /k.pem }', /scheduler\.caCert: missing/],
    ['upload: { server: { caCert: /a, cert: /b, key: /c } }', /upload\.client: without certificates/],
    ['upload: { client: { caCert: /a, cert: /b, key: /c } }', /upload\.server: without certificates/],
    ['proxy: { server: { basicAuth: { username: a } } }', /proxy\.server\.basicAuth\.password/],
    ['proxy: { server: { basicAuth: { username: "a:b", password: c } } }', /without a colon/],
    ['proxy: { server: { caCert: /a.pem } }', /both caCert and caKey/],
    ['proxy: { server: { listen: [{ ip: 127.0.0.1 }] } }', /listen.*port/],
    ['gc: { policy: { diskLowThresholdPercent: 90 } }', /diskLowThresholdPercent/],
    ['download: { protocol: quic }', /QUIC/],
    ['download: { pieceSize: 1Mi }', /download\.pieceSize.*4MiB to 64MiB/],
    ['scheduler: { addrs: [nonsense] }', /scheduler\.addrs.*host:port/],
    ['proxy: { rules: [{ regex: "(" }] }', /regular expression/],
    ['proxy: { registries: [{ insecure: true }] }', /expected url or host/],
    ['proxy: { registries: [{ host: a.test, password: planted }] }', /username and password together/],
    ['proxy: { access: everybody }', /proxy\.access/],
  ])('refuses %s rather than leaving it without effect', (text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});

describe('defaultDirectories', () => {
  it('keeps out of the system directories for a user', () => {
    const directories = defaultDirectories(1000, { HOME: '/home/a', XDG_RUNTIME_DIR: '/run/user/1000' });
    expect(directories).toEqual({
      storage: '/home/a/.local/share/dragonfly',
      runtime: '/run/user/1000/dragonfly',
      config: '/home/a/.config/dragonfly',
    });
  });
});
