import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { editDistance, nearestKey } from './nearest-key.ts';

describe('nearestKey', () => {
  it.each([
    ['taskTll', 'taskTTL'],
    ['requestbufferSize', 'requestBufferSize'],
    ['prot', 'port'],
    ['concurentPieceCount', 'concurrentPieceCount'],
  ])('finds what %s was meant to be', (typed, meant) =>
    expect(nearestKey(typed, ['interval', 'taskTTL', 'requestBufferSize', 'port', 'concurrentPieceCount'])).toBe(meant),
  );

  it('suggests nothing that is far away', () => expect(nearestKey('tls', ['interval', 'hostname'])).toBeUndefined());
});

describe('editDistance', () => {
  it('is symmetric, and zero only for equal texts', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
        expect(editDistance(left, right)).toBe(editDistance(right, left));
        expect(editDistance(left, right) === 0).toBe(left === right);
      }),
    );
  });

  it('counts a swap of neighbours once', () => expect(editDistance('prot', 'port')).toBe(1));
});
