import type { PackageRules } from '../rule.ts';
import { HTTP_STATUS_IF_SET } from './vocabulary.ts';

/** Rules of package errordetails.v2. */
export const ERRORDETAILS_RULES: PackageRules = {
  Backend: {
    status_code: HTTP_STATUS_IF_SET,
  },
};
