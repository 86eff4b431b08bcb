import type { ListedScheduler } from '@d7y/peer-protocol';
import { describe, expect, it } from '@jest/globals';
import { chooseCluster } from './managed-schedulers.ts';

const scheduler = (ip: string, clusterId: bigint): ListedScheduler => ({
  ...{ ip, port: 8002, clusterId },
  clientConfig: `{"of":${clusterId}}`,
  seedClientConfig: '',
});
const LISTED = [
  scheduler('10.0.0.2', 1n),
  scheduler('10.0.0.9', 2n),
  scheduler('10.0.0.1', 1n),
  scheduler('10.0.0.8', 2n),
  scheduler('fd00::1', 2n),
];
const onlyServing =
  (...addresses: string[]) =>
  (address: string) =>
    Promise.resolve(addresses.includes(address));

describe('chooseCluster', () => {
  it('takes the cluster of the first scheduler that serves, and all schedulers of it', async () => {
    expect(await chooseCluster(LISTED, onlyServing('10.0.0.8:8002', '10.0.0.1:8002'))).toEqual({
      addresses: ['10.0.0.1:8002', '10.0.0.2:8002'],
      clientConfig: '{"of":1}',
      seedClientConfig: '',
    });
    expect((await chooseCluster(LISTED, onlyServing('10.0.0.8:8002')))?.addresses).toEqual([
      '10.0.0.8:8002',
      '10.0.0.9:8002',
      '[fd00::1]:8002',
    ]);
  });

  it('keeps to the first cluster while no scheduler serves', async () => {
    expect((await chooseCluster(LISTED, onlyServing()))?.clientConfig).toBe('{"of":1}');
  });

  it('has none where none is listed', async () => {
    expect(await chooseCluster([], onlyServing())).toBeUndefined();
  });
});
