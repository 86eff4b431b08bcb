import { describe, expect, it } from '@jest/globals';
import { readDfdaemonConfig } from '../config/read-dfdaemon-config.ts';
import { schedulerAddresses } from './dynconfig.ts';

const configOf = (text: string) => readDfdaemonConfig({ text, env: {}, uid: 0 }).config;
const noFile = () => Promise.reject(Object.assign(new Error('no such file'), { code: 'ENOENT' }));
const resolve = async (name: string) =>
  name === 'scheduler' ? ['10.0.0.2', '10.0.0.1'] : Promise.reject(new Error(`no ${name}`));

describe('schedulerAddresses', () => {
  it('resolves names, and gives each address once and in order', async () => {
    const config = configOf(
      'scheduler: { addrs: ["scheduler:8002", "10.0.0.1:8002", "[2001:db8::1]:8002", "gone:1"] }',
    );
    expect(await schedulerAddresses(config, { resolve, read: noFile })).toEqual([
      '10.0.0.1:8002',
      '10.0.0.2:8002',
      '[2001:db8::1]:8002',
    ]);
  });

  it('reads the local file where the configuration names none', async () => {
    const read = async () => 'scheduler: { addr: "x:1", addrs: ["10.0.0.9:8002"] }\nclientConfig: {}\n';
    expect(await schedulerAddresses(configOf(''), { resolve, read })).toEqual(['10.0.0.9:8002']);
  });

  it('prefers the configuration, and is content with no scheduler at all', async () => {
    const read = async () => 'scheduler: { addrs: ["10.0.0.9:8002"] }';
    const config = configOf('scheduler: { netAddrs: [{ type: tcp, addr: "10.0.0.3:8002" }] }');
    expect(await schedulerAddresses(config, { resolve, read })).toEqual(['10.0.0.3:8002']);
    expect(await schedulerAddresses(configOf(''), { resolve, read: noFile })).toEqual([]);
  });

  it('fails when nothing resolves, so that what was known before stays', async () => {
    const config = configOf('scheduler: { addr: "gone:8002" }');
    await expect(schedulerAddresses(config, { resolve, read: noFile })).rejects.toThrow('no gone');
  });
});
