export type { Check, Violation } from './check.ts';
export { createRulesInterceptor, guardOf } from './interceptor.ts';
export { checkOf, violationOf } from './violation.ts';
