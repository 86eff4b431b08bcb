export {
  JobArgumentsError,
  JobClusterNotFoundError,
  JobConflictError,
  JobNotFoundError,
  JobRateLimitError,
  JobsUnavailableError,
} from './errors.ts';
export { JobClerk } from './job-clerk.ts';
export type { JobClerkOptions } from './job-clerk.ts';
export { JobDesk } from './job-desk.ts';
export { openJobs } from './open-jobs.ts';
export type { OpenJobs, OpenJobsOptions } from './open-jobs.ts';
export type { JobDeskOptions, Seal } from './job-desk.ts';
