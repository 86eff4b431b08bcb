import type { Client } from '@connectrpc/connect';
import type { manager } from '@d7y/api';
import { delay, linkedSignal } from '@d7y/service-kit';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { RpcError } from './rpc-error.ts';

/**
 * Says every `intervalMs` that somebody is alive, the first time at once, until the signal ends it.
 * @throws {RpcError} when the stream breaks
 */
export async function keepAliveAt(
  { client, address }: { readonly client: Client<typeof manager.Manager>; readonly address: string },
  message: MessageInitShape<typeof manager.KeepAliveRequestSchema>,
  intervalMs: number,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  // Connect does not end the requests of a call that is over.
  using over = linkedSignal(signal);
  async function* beats() {
    while (!over.signal.aborted) {
      yield message;
      await delay(intervalMs, { signal: over.signal, unref: true }).catch(() => undefined);
    }
  }
  try {
    await client.keepAlive(beats(), { signal: over.signal });
  } catch (error) {
    signal.throwIfAborted();
    throw RpcError.from(address, 'KeepAlive', error);
  } finally {
    over.abort();
  }
}
