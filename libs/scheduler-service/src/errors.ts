import { DfError } from '@d7y/piece';

/** A host that has not announced itself, or has left. */
export class HostNotFoundError extends DfError {
  override readonly name = 'HostNotFoundError';
  readonly code = 'HOST_NOT_FOUND';
  readonly retryable = true;
  readonly hostId: string;
  constructor(hostId: string) {
    super(`host ${hostId} is not known here`);
    this.hostId = hostId;
  }
}

export class PeerNotFoundError extends DfError {
  override readonly name = 'PeerNotFoundError';
  readonly code = 'PEER_NOT_FOUND';
  readonly retryable = false;
  readonly peerId: string;
  constructor(peerId: string) {
    super(`peer ${peerId} is not known here`);
    this.peerId = peerId;
  }
}

export class TaskNotFoundError extends DfError {
  override readonly name = 'TaskNotFoundError';
  readonly code = 'TASK_NOT_FOUND';
  readonly retryable = false;
  readonly taskId: string;
  constructor(taskId: string) {
    super(`task ${taskId} is not known here`);
    this.taskId = taskId;
  }
}

/** A message that breaks the order or the identity of its conversation. */
export class ConversationError extends DfError {
  override readonly name = 'ConversationError';
  readonly code = 'INVALID_REQUEST';
  readonly retryable = false;
}

/** A table is full, or calls come faster than they may. */
export class SchedulerOverloadedError extends DfError {
  override readonly name = 'SchedulerOverloadedError';
  readonly code = 'TOO_MANY_REQUESTS';
  readonly retryable = true;
}
