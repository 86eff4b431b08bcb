import { expect, it } from '@jest/globals';
import {
  createEvictionPolicy,
  DEFAULT_EVICTION_POLICY,
  InvalidEvictionPolicyError,
  type EvictionPolicy,
} from './policy.ts';

it('fills in what is not said', () => {
  expect(createEvictionPolicy()).toEqual(DEFAULT_EVICTION_POLICY);
  expect(createEvictionPolicy({ taskTtlMs: 5, capacityBytes: 7 })).toEqual({
    ...DEFAULT_EVICTION_POLICY,
    taskTtlMs: 5,
    capacityBytes: 7,
  });
});

it.each<[keyof EvictionPolicy, Partial<EvictionPolicy>]>([
  ['taskTtlMs', { taskTtlMs: 0 }],
  ['taskTtlMs', { taskTtlMs: NaN }],
  ['unfinishedIdleMs', { unfinishedIdleMs: -1 }],
  ['highWatermarkPercent', { highWatermarkPercent: 0 }],
  ['highWatermarkPercent', { highWatermarkPercent: 101 }],
  ['lowWatermarkPercent', { lowWatermarkPercent: 80 }],
  ['lowWatermarkPercent', { lowWatermarkPercent: -1 }],
  ['lowWatermarkPercent', { highWatermarkPercent: 50 }],
  ['capacityBytes', { capacityBytes: 0 }],
  ['thresholdBytes', { thresholdBytes: NaN }],
])('weakness 38: refuses a wrong %s: %j', (field, policy) => {
  expect(() => createEvictionPolicy(policy)).toThrow(InvalidEvictionPolicyError);
  expect(() => createEvictionPolicy(policy)).toThrow(new RegExp(`^${field} is`));
});
