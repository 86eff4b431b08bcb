import { linkedSignal } from '@d7y/service-kit';
import { RpcError } from './rpc-error.ts';

/** What Connect's clients take for one call. */
export interface UnaryOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Runs a unary call with a deadline, and translates what it throws. @throws {RpcError} @throws the reason of the signal */
export async function unaryCall<T>(
  address: string,
  method: string,
  options: UnaryOptions,
  call: (options: UnaryOptions) => Promise<T>,
): Promise<T> {
  options.signal.throwIfAborted();
  try {
    return await call(options);
  } catch (error) {
    options.signal.throwIfAborted();
    throw RpcError.from(address, method, error);
  }
}

/** Passes a stream through, translating what it throws. @throws {RpcError} @throws the reason of the signal */
export async function* streamCall<T>(
  address: string,
  method: string,
  { signal }: { readonly signal: AbortSignal },
  open: (options: { readonly signal: AbortSignal }) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  signal.throwIfAborted();
  // Leaving a for-await early does not cancel a Connect stream; its signal does.
  using left = linkedSignal(signal);
  try {
    yield* open({ signal: left.signal });
  } catch (error) {
    signal.throwIfAborted();
    throw RpcError.from(address, method, error);
  } finally {
    left.abort();
  }
}
