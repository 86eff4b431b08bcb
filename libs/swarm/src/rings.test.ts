import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { AddressFormatError } from './errors.ts';
import { schedulerKey, schedulerPoint, schedulerRing } from './scheduler-ring.ts';
import { seedOrder, seedRing } from './seed-ring.ts';
import { sipHash24 } from './sip-hash.ts';

interface Vectors {
  schedulerRing: {
    nodes: { address: string; hash: string }[];
    members: string[];
    keys: { taskIdPrefix: string; hash: string; picked: string }[];
  };
  seedRing: { members: string[]; picks: { taskId: string; picked: string }[] };
}
const vectors = JSON.parse(readFileSync(new URL('../testdata/rings.json', import.meta.url), 'utf8')) as Vectors;

describe('sipHash24', () => {
  it('depends on every byte and on the length', () => {
    const inputs = [
      [],
      [0],
      [0, 0],
      [1],
      [0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 1],
      [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    expect(new Set(inputs.map((bytes) => sipHash24(Uint8Array.from(bytes)))).size).toBe(inputs.length);
  });
});

describe('schedulerRing', () => {
  it.each(vectors.schedulerRing.nodes)('puts $address where stock daemons put it', ({ address, hash }) => {
    expect(schedulerPoint(address).toString(16).padStart(16, '0')).toBe(hash);
  });

  it.each(vectors.schedulerRing.keys)('gives tasks $taskIdPrefix… to $picked', ({ taskIdPrefix, hash, picked }) => {
    expect(schedulerKey(taskIdPrefix).toString(16).padStart(16, '0')).toBe(hash);
    expect(schedulerRing(vectors.schedulerRing.members).ordered(`${taskIdPrefix}ignored`)[0]).toBe(picked);
  });

  it('names every scheduler once, the next owner being the one that the ring without the first would pick', () => {
    const { members } = vectors.schedulerRing;
    const order = schedulerRing([...members, ...members]).ordered('12345');
    expect([...order].sort()).toEqual([...members].sort());
    expect(schedulerRing(members.filter((member) => member !== order[0])).ordered('12345')).toEqual(order.slice(1));
  });

  it('reads every notation of an IPv6 address alike', () => {
    const forms = ['[2001:db8::1]:8002', '[2001:0DB8:0:0:0:0:0:1]:8002', '[2001:db8::0.0.0.1]:8002'];
    expect(new Set(forms.map(schedulerPoint)).size).toBe(1);
  });

  it.each([
    '',
    'host:8002',
    '10.0.0.1',
    '10.0.0.256:1',
    '1.2.3.4:65536',
    '[::1::]:1',
    '[1:2]:3',
    '[::12345]:1',
    '[::1.2.3]:1',
  ])('refuses %j', (address) => {
    expect(() => schedulerRing([address])).toThrow(AddressFormatError);
  });

  it('has no owner when there is no scheduler', () => {
    expect(schedulerRing([]).ordered('12345')).toEqual([]);
  });
});

describe('seedRing', () => {
  it.each(vectors.seedRing.picks)('picks $picked for $taskId', ({ taskId, picked }) => {
    const order = seedRing(vectors.seedRing.members).ordered(taskId);
    expect(order[0]).toBe(picked);
    expect([...order].sort()).toEqual([...vectors.seedRing.members].sort());
  });
});

describe('seedOrder', () => {
  const seeds = ['10.0.0.1-a-seed', '10.0.0.2-b-seed', '10.0.0.3-c-seed'];

  it('does not depend on the order in which the seeds are known', () => {
    expect(seedOrder([...seeds].reverse(), 'task')).toEqual(seedOrder(seeds, 'task'));
  });

  it('keeps the order of the others when a seed is lost', () => {
    const order = seedOrder(seeds, 'task');
    expect(seedOrder(order.slice(1), 'task')).toEqual(order.slice(1));
  });

  it('spreads tasks over the seeds', () => {
    const first = Array.from({ length: 300 }, (_, index) => seedOrder(seeds, `task-${index}`)[0]);
    for (const seed of seeds) expect(first.filter((pick) => pick === seed).length).toBeGreaterThan(60);
  });
});
