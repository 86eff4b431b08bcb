import { describe, expect, it } from '@jest/globals';
import { readDfdaemonConfig } from '../config/read-dfdaemon-config.ts';
import { HostFacts } from './host-facts.ts';
import { identityOf } from './identity.ts';
import { NetworkMeter } from './network-meter.ts';

const configOf = (text: string) => readDfdaemonConfig({ text, env: {}, uid: 0 }).config;

describe('identityOf', () => {
  it('marks a seed in its id, and knows its pod', () => {
    const config = configOf('host: { ip: 10.0.0.7, hostname: node }\nseedPeer: { enable: true }');
    expect(identityOf(config, { POD_NAMESPACE: 'd', POD_NAME: 'p-0' })).toEqual({
      ip: '10.0.0.7',
      hostname: 'node',
      hostId: '10.0.0.7-node-seed',
      isSeed: true,
      name: 'd-p-0',
    });
  });
});

describe('NetworkMeter', () => {
  const cards = { eth9: [{ address: '10.0.0.7' }] } as unknown as NonNullable<
    ConstructorParameters<typeof NetworkMeter>[1]
  >['cards'];

  it('turns the counters of the card into bits per second, once a second', async () => {
    const state = { ms: 0, rx: 1000, tx: 5000, reads: 0 };
    const meter = new NetworkMeter('10.0.0.7', {
      ...(cards === undefined ? {} : { cards }),
      now: () => state.ms,
      read: async (path) => {
        if (path.endsWith('/speed')) return '1000\n';
        state.reads++;
        return `Inter-| x\n  lo: 9 9\neth9: ${state.rx} 0 0 0 0 0 0 0 ${state.tx} 0\n`;
      },
    });
    expect(await meter.rates()).toEqual({ maxRx: 1e9, maxTx: 1e9, rx: 0, tx: 0 });
    Object.assign(state, { ms: 500, rx: 2000 });
    await meter.rates();
    expect(state.reads).toBe(1);
    Object.assign(state, { ms: 1000, rx: 2000, tx: 7000 });
    expect(await meter.rates()).toMatchObject({ rx: 8000, tx: 16_000 });
  });

  it('assumes a fast card where nothing is known', async () => {
    const meter = new NetworkMeter('192.0.2.1', {
      cards: {},
      read: async () => Promise.reject(new Error('no such file')),
    });
    expect(await meter.rates()).toEqual({ maxRx: 1e10, maxTx: 1e10, rx: 0, tx: 0 });
  });
});

describe('HostFacts', () => {
  it('describes this machine as schedulers demand it', async () => {
    const config = configOf(
      'host: { ip: 127.0.0.1, hostname: n, idc: a }\nseedPeer: { enable: true }\nupload: { bandwidthLimit: 1000 }',
    );
    const facts = new HostFacts({
      config,
      identity: identityOf(config, {}),
      network: new NetworkMeter('127.0.0.1'),
      version: '1.2.3',
    });
    const host = await facts.describe({ upload: 4000, proxy: 4001 });
    expect(host).toMatchObject({ id: '127.0.0.1-n-seed', type: 1, port: 4000, downloadPort: 4000, proxyPort: 4001 });
    expect(host.memory?.total).toBeGreaterThan(0n);
    expect(host.cpu?.logicalCount).toBeGreaterThan(0);
    expect(host.network).toMatchObject({ idc: 'a', maxTxBandwidth: 8000n });
    expect(host.build?.gitVersion).toBe('1.2.3');
  });
});
