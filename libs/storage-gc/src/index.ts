export { planEviction } from './plan-eviction.ts';
export type { DiskUsage, EvictableTask, EvictionReason, Victim } from './plan-eviction.ts';
export { createEvictionPolicy, DEFAULT_EVICTION_POLICY, InvalidEvictionPolicyError } from './policy.ts';
export type { EvictionPolicy } from './policy.ts';
