export { planEviction, planRelief } from './plan-eviction.ts';
export type { EvictableTask, EvictionReason, Victim } from './plan-eviction.ts';
export { createEvictionPolicy, DEFAULT_EVICTION_POLICY, InvalidEvictionPolicyError } from './policy.ts';
export type { EvictionPolicy } from './policy.ts';
export { watermarks } from './watermarks.ts';
export type { DiskUsage, Watermark, Watermarks } from './watermarks.ts';
