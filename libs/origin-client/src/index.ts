export type { Authenticator } from './authenticator.ts';
export type { HostTls } from './dispatchers.ts';
export type { HeadAnswer } from './head.ts';
export { createOriginClient } from './origin-client.ts';
export type { OriginClient, OriginClientOptions } from './origin-client.ts';
export type { ProgressFloorOptions } from './progress-floor.ts';
export { RETRY_DEFAULTS } from './retry-policy.ts';
export type { RetryPolicyOptions } from './retry-policy.ts';
