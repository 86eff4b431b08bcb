import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import { describe, expect, it } from '@jest/globals';
import type { PeerRequest } from './peer-desk.ts';
import { WaitingRequests } from './waiting-requests.ts';

const register = (peerNumber: number): PeerRequest => ({
  case: 'register',
  value: create(swarm.RegisterSchema, { peerNumber }),
});
const started = (peerNumber: number): PeerRequest => ({
  case: 'started',
  value: create(swarm.StartedSchema, { peerNumber }),
});
const leave = (peerNumber: number): PeerRequest => ({
  case: 'leave',
  value: create(swarm.LeaveSchema, { peerNumber }),
});

function waiting() {
  const heard: string[] = [];
  const errors: unknown[] = [];
  const requests = new WaitingRequests(
    ({ case: kind, value }) => {
      if (kind === 'inventory') return;
      if (value.peerNumber === 13) throw new Error('unlucky');
      heard.push(`${kind} ${value.peerNumber}`);
    },
    (error) => errors.push(error),
  );
  return { requests, heard, errors };
}
const soon = () => new Promise((resolve) => setImmediate(resolve));

describe('WaitingRequests', () => {
  it('lets a registration wait while others go on, and what concerns it wait with it', async () => {
    const { requests, heard } = waiting();
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    void requests.take(register(1));
    void requests.take(register(2), first.promise);
    void requests.take(register(3), second.promise);
    void requests.take(started(1));
    void requests.take(started(2));
    void requests.take(leave(3));
    // Its turn came at once, and yet not before those that came first.
    void requests.take(register(4));
    expect(heard).toEqual(['register 1', 'started 1']);
    second.resolve();
    await soon();
    expect(heard).toHaveLength(2);
    first.resolve();
    await soon();
    expect(heard.slice(2)).toEqual(['register 2', 'register 3', 'started 2', 'leave 3', 'register 4']);
    void requests.take(leave(2));
    expect(heard.at(-1)).toBe('leave 2');
  });

  it('has the registrations that come after one that waits share its turn, up to a bound', async () => {
    const { requests, heard } = waiting();
    expect(requests.sharesTurn).toBe(false);
    const turn = Promise.withResolvers<void>();
    void requests.take(register(1), turn.promise);
    let number = 1;
    while (requests.sharesTurn && number < 1_000) void requests.take(register(++number + 13));
    expect(number).toBe(16);
    expect(requests.inTurn()).toBe(16);
    expect(heard).toEqual([]);
    turn.resolve();
    await soon();
    expect(heard).toHaveLength(16);
    expect(requests.sharesTurn).toBe(false);
  });

  it('holds the link back when too much waits, until some of it is done', async () => {
    const { requests, heard } = waiting();
    const turn = Promise.withResolvers<void>();
    let isHeldBack = false;
    let number = 0;
    while (!isHeldBack) {
      const room = requests.take(register(++number + 13), turn.promise);
      if (room !== undefined) isHeldBack = true;
      if (number > 5_000) throw new Error('it is not bounded');
    }
    const room = requests.take(register(10_000), turn.promise);
    turn.resolve();
    await room;
    await soon();
    expect(heard).toHaveLength(number + 1);
  });

  it.each([
    ['a request is wrong', Promise.resolve(), 13],
    ['there will be no turn', Promise.reject(new Error('the link is gone')), 5],
  ])('tells, and hears no more, when %s', async (_, turn, peerNumber) => {
    const { requests, heard, errors } = waiting();
    void requests.take(register(peerNumber), turn);
    void requests.take(register(6));
    await soon();
    expect(errors).toHaveLength(1);
    expect(heard).toEqual([]);
  });
});
