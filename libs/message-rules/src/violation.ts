import type { DescFile, DescMessage, Message } from '@bufbuild/protobuf';
import { createRegistry } from '@bufbuild/protobuf';
import { common, dfdaemon, errordetails, manager, scheduler } from '@d7y/api';
import type { Check, Violation } from './check.ts';
import { createCheckCompiler } from './check.ts';
import type { PackageRules } from './rule.ts';
import { COMMON_RULES } from './rules/common-rules.ts';
import { DFDAEMON_RULES } from './rules/dfdaemon-rules.ts';
import { ERRORDETAILS_RULES } from './rules/errordetails-rules.ts';
import { MANAGER_RULES } from './rules/manager-rules.ts';
import { SCHEDULER_RULES } from './rules/scheduler-rules.ts';

/** The packages that have rules, by the file that defines each. */
export const RULED_PACKAGES: ReadonlyMap<DescFile, PackageRules> = new Map([
  [common.file_common_v2_common, COMMON_RULES],
  [dfdaemon.file_dfdaemon_v2_dfdaemon, DFDAEMON_RULES],
  [errordetails.file_errordetails_v2_errordetails, ERRORDETAILS_RULES],
  [manager.file_manager_v2_manager, MANAGER_RULES],
  [scheduler.file_scheduler_v2_scheduler, SCHEDULER_RULES],
]);

/** The check of a message type, or undefined for a type under which no rule can be broken. */
export const checkOf: (desc: DescMessage) => Check | undefined = createCheckCompiler(
  (desc) => RULED_PACKAGES.get(desc.file)?.[desc.name],
);

const registry = createRegistry(...RULED_PACKAGES.keys());

/** The first rule that a message of the v2 API breaks, in it or in any message below it; undefined when it is valid. */
export function violationOf(message: Message): Violation | undefined {
  const desc = registry.getMessage(message.$typeName);
  return desc && checkOf(desc)?.(message);
}
