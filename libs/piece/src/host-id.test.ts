import { expect, it } from '@jest/globals';
import { vectors } from './_vectors.ts';
import { hostIdOf, peerIdOf } from './host-id.ts';

it.each(vectors.hostId)('names the host $id as agreed', ({ ip, hostname, seed, id }) => {
  expect(hostIdOf({ ip, hostname, isSeed: seed })).toBe(id);
});

it('puts the mark of a seed after the UUID of a peer', () => {
  const uuid = '00000000-0000-4000-8000-000000000000';
  const host = { ip: '10.0.0.1', hostname: 'node-1' };
  expect(peerIdOf({ ...host, isSeed: false }, uuid)).toBe(`10.0.0.1-node-1-${uuid}`);
  expect(peerIdOf({ ...host, isSeed: true }, uuid)).toBe(`10.0.0.1-node-1-${uuid}-seed`);
});
