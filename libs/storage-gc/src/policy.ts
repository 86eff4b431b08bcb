import { DfError } from '@d7y/piece';

/** When stored tasks have to go. */
export interface EvictionPolicy {
  /** A task that nobody used for this long is expired. */
  readonly taskTtlMs: number;
  /** An unfinished task that nobody touched for this long has been given up by its download; before, it is not evicted. */
  readonly unfinishedIdleMs: number;
  /** From this share of the capacity on, in percent, tasks are evicted … */
  readonly highWatermarkPercent: number;
  /** … until no more than this share is in use. Far below the high one: rare and large evictions. Near it: often and small. */
  readonly lowWatermarkPercent: number;
  /** Bytes that all tasks together may take at most; the watermarks then count from this instead of the file system's size. */
  readonly capacityBytes?: number | undefined;
  /** Tasks that take this much in total shrink to the low watermark's share of it, whatever the watermarks say. */
  readonly thresholdBytes?: number | undefined;
}

/** What runs when nothing else is configured. */
export const DEFAULT_EVICTION_POLICY: EvictionPolicy = {
  taskTtlMs: 30 * 24 * 3_600_000,
  unfinishedIdleMs: 24 * 3_600_000,
  highWatermarkPercent: 80,
  lowWatermarkPercent: 60,
};

/** An eviction policy contradicts itself. */
export class InvalidEvictionPolicyError extends DfError {
  override readonly name = 'InvalidEvictionPolicyError';
  readonly code = 'INVALID_EVICTION_POLICY';
  readonly retryable = false;
  readonly field: keyof EvictionPolicy;
  readonly value: number;
  /** @param rule what the field must be, in words */
  constructor(field: keyof EvictionPolicy, value: number, rule: string) {
    super(`${field} is ${value}, but must be ${rule}`);
    this.field = field;
    this.value = value;
  }
}

/**
 * @returns the policy with its defaults filled in
 * @throws {InvalidEvictionPolicyError}
 */
export function createEvictionPolicy(wanted: Partial<EvictionPolicy> = {}): EvictionPolicy {
  const policy = { ...DEFAULT_EVICTION_POLICY, ...wanted };
  const { taskTtlMs, unfinishedIdleMs, highWatermarkPercent, lowWatermarkPercent } = policy;
  const check = (field: keyof EvictionPolicy, value: number, isRight: boolean, rule: string): void => {
    if (!isRight) throw new InvalidEvictionPolicyError(field, value, rule); // also when the value is NaN
  };
  check('taskTtlMs', taskTtlMs, taskTtlMs > 0, 'more than 0');
  check('unfinishedIdleMs', unfinishedIdleMs, unfinishedIdleMs > 0, 'more than 0');
  const isHighRight = highWatermarkPercent > 0 && highWatermarkPercent <= 100;
  check('highWatermarkPercent', highWatermarkPercent, isHighRight, 'more than 0 and at most 100');
  const isLowRight = lowWatermarkPercent >= 0 && lowWatermarkPercent < highWatermarkPercent;
  check(
    'lowWatermarkPercent',
    lowWatermarkPercent,
    isLowRight,
    `less than the high watermark (${highWatermarkPercent})`,
  );
  for (const field of ['capacityBytes', 'thresholdBytes'] as const) {
    const value = policy[field];
    if (value !== undefined) check(field, value, value > 0, 'more than 0');
  }
  return policy;
}
