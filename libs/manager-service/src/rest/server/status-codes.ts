/** Which status an error of this code is answered with. What is not here is a fault of ours: 500, without its message. */
export const STATUS_CODES: Readonly<Record<string, number>> = {
  // Of this interface.
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  CONFLICT: 409,
  INVALID_REQUEST: 422,
  TOO_MANY_REQUESTS: 429,
  UNAVAILABLE: 503,
  // Of the database.
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  STILL_IN_USE: 409,
  REFERENCE_NOT_FOUND: 422,
  INVALID_VALUE: 422,
  DATABASE_UNAVAILABLE: 503,
  // Of jobs.
  JOB_NOT_FOUND: 404,
  CLUSTER_NOT_FOUND: 404,
  JOB_CONFLICT: 409,
  JOB_ARGUMENTS: 422,
  JOB_RATE_LIMITED: 429,
  JOBS_UNAVAILABLE: 503,
};
