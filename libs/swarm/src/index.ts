export type { ProbationRule } from './blame.ts';
export type { Decision, OfferedParent, ParentRole, RefusalCode } from './decision.ts';
export { AddressFormatError } from './errors.ts';
export type { DeliveryFacts, EndFacts, Offence, PiecesFacts, RegistrationFacts } from './facts.ts';
export { HOST_TRANSITIONS, SEED_TRANSITIONS } from './host.ts';
export type { HostFacts, HostKind, HostState, HostView, UploadEstimate } from './host.ts';
export { Intake } from './intake.ts';
export type { IntakeLevel, IntakeTransfer, TurnReason } from './intake.ts';
export { LinkUse } from './link-use.ts';
export type { RememberedHolder, RememberedTask, SwarmMemory, SwarmWatcher } from './memory.ts';
export { meshPolicy } from './mesh-policy.ts';
export { PEER_TRANSITIONS } from './peer.ts';
export type { PeerLink, PeerState, PeerView, Priority } from './peer.ts';
export { PiecePicker } from './piece-picker.ts';
export type { PickedPiece, PieceOrder, PickRule } from './piece-picker.ts';
export type { ReadonlySampleSet } from './sample-set.ts';
export { schedulerRing } from './scheduler-ring.ts';
export type { SchedulerRing } from './scheduler-ring.ts';
export type { SchedulingPolicy } from './scheduling-policy.ts';
export { seedOrder, seedRing } from './seed-ring.ts';
export type { SeedRing } from './seed-ring.ts';
export { DEFAULT_STEERING, Steering } from './steering.ts';
export type { Reveal, SteeringOptions } from './steering.ts';
export { DEFAULT_SWARM_OPTIONS } from './swarm-options.ts';
export type { SwarmLimits, SwarmOptions } from './swarm-options.ts';
export { Swarm } from './swarm.ts';
export type { SwarmCounts } from './swarm.ts';
export { TAG_BOOK_LIMITS, TagBook } from './tag-book.ts';
export type { TagBookLimits, TagMeaning, TagName } from './tag-book.ts';
export { DEFAULT_TURN_ROSTER, TurnRoster } from './turn-roster.ts';
export type { HolderState, RosterTurn, TurnRosterOptions } from './turn-roster.ts';
export { DEFAULT_UPSTREAM_RULES, upstreamPolicy } from './upstream-policy.ts';
export type { UpstreamRules } from './upstream-policy.ts';
export { TASK_TRANSITIONS } from './task.ts';
export type { TaskSize, TaskState, TaskView } from './task.ts';
export {
  drawChild,
  isOpenForTurns,
  mayGiveTurn,
  mayTakeTurn,
  slowAfterMs,
  TURN_RULES,
  turnLeadMs,
  turnsAtOnce,
  typicalDuration,
} from './upload-turns.ts';
export type { LinkLoad, TurnOffer, TurnRules } from './upload-turns.ts';
export { VOUCHER_BOOK_LIMITS, VoucherBook } from './voucher-book.ts';
export type { TaskVouchers, Voucher, VoucherBookLimits, VoucherGrid, VoucherRun } from './voucher-book.ts';
