export { createRest } from './create-rest.ts';
export type { Rest, RestAuth, RestOptions } from './create-rest.ts';
export type { JobRequest, Jobs, SubmittedJob } from './jobs-port.ts';
