import { Code, ConnectError } from '@connectrpc/connect';
import { DfError } from '@d7y/piece';

/** Statuses after which the same call may succeed: the server is away, busy, or gave up on this attempt only. */
const TRANSIENT: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.ResourceExhausted,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Canceled,
  Code.Internal,
  Code.Unknown,
]);

/** Statuses of a call that did not come through, or not back; any other is the server's own word. */
const UNANSWERED: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Canceled,
  Code.Aborted,
  Code.Unknown,
]);

/** A gRPC call to a scheduler or to another daemon failed. */
export class RpcError extends DfError {
  override readonly name = 'RpcError';
  readonly code = 'RPC_FAILED';
  readonly retryable: boolean;
  /** The server was reached, and refused. */
  readonly isAnswer: boolean;
  /** `host:port` of the server. */
  readonly address: string;
  /** Name of the method, such as `SyncPieces`. */
  readonly method: string;
  /** gRPC status. */
  readonly status: Code;
  /** What the server (or the connection) gave as reason. */
  readonly reason: string;
  constructor(address: string, method: string, status: Code, reason: string, options?: ErrorOptions) {
    super(`${method} at ${address}: ${Code[status]}: ${reason}`, options);
    this.address = address;
    this.method = method;
    this.status = status;
    this.reason = reason;
    this.isAnswer = !UNANSWERED.has(status);
    this.retryable = TRANSIENT.has(status);
  }

  /** Whatever a call threw, as an RpcError; errors of our own pass as they are. */
  static from(address: string, method: string, error: unknown): DfError {
    if (error instanceof DfError) return error;
    const { code, rawMessage } = ConnectError.from(error);
    return new RpcError(address, method, code, rawMessage, { cause: error });
  }
}
