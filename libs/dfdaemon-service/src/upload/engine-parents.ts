import type { Parents } from '@d7y/peer-engine';
import { type ParentClientPool, type PieceClient, toDownloadMessage, type TurnClient } from '@d7y/peer-protocol';
import { DfError } from '@d7y/piece';
import { linkedSignal, type Logger } from '@d7y/service-kit';

/** A seed ended the call by which it was told to fetch before it said what the task is. */
export class SeedSilentError extends DfError {
  override readonly name = 'SeedSilentError';
  readonly code = 'TASK_UNAVAILABLE';
  readonly retryable = true;
  constructor(address: string, taskId: string) {
    super(`seed ${address} said nothing about task ${taskId}`);
  }
}

export interface EngineParentsOptions {
  readonly clients: ParentClientPool;
  readonly pieceClient: PieceClient;
  readonly turns: TurnClient;
  readonly hostId: string;
  readonly logger: Logger;
  /** Aborted when the daemon stops. */
  readonly lifetime: AbortSignal;
}

/** Other daemons as the engine sees them, over gRPC and the piece protocol. */
export function parentsOverNetwork({
  clients,
  pieceClient,
  turns,
  hostId,
  logger,
  lifetime,
}: EngineParentsOptions): Parents {
  return {
    turns,
    syncPieces: (address, { taskId, interested }, options) =>
      clients.at(address).syncPieces({ taskId, hostId, interested }, options),
    async *watchLoad(address, options) {
      // The load is the host's, whichever of our tasks asks; the protocol wants some peer to ask.
      for await (const { network } of clients.at(address).syncHost({ hostId, peerId: hostId }, options)) {
        yield { maxTxBps: Number(network?.maxTxBandwidth ?? 0), txBps: Number(network?.txBandwidth ?? 0) };
      }
    },
    fetchPiece: ({ expected, ...request }, sink, options) =>
      pieceClient.fetchPiece(
        { ...request, kind: 'standard', expected: { offset: expected.start, length: expected.length } },
        sink,
        options,
      ),
    async triggerSeed(address, registration, { signal }) {
      const client = clients.at(address);
      // The seed serves the task as long as somebody holds the call, so it outlives the wait for its first word.
      const call = linkedSignal(lifetime);
      using waiting = linkedSignal(signal);
      const giveUp = (): void => call.abort(waiting.signal.reason);
      waiting.signal.addEventListener('abort', giveUp, { once: true });
      const stream = client.downloadTask(toDownloadMessage(registration), { signal: call.signal });
      const messages = stream[Symbol.asyncIterator]();
      try {
        signal.throwIfAborted();
        const first = await messages.next();
        if (first.done || first.value.response.case !== 'downloadTaskStartedResponse') {
          throw new SeedSilentError(client.address, registration.taskId);
        }
        void drain(messages)
          .catch((error: unknown) => logger.debug({ seed: client.address, err: error }, 'a seed gave up'))
          .finally(() => call[Symbol.dispose]());
        return { contentLength: Number(first.value.response.value.contentLength) };
      } catch (error) {
        call.abort(error);
        throw error;
      } finally {
        waiting.signal.removeEventListener('abort', giveUp);
      }
    },
  };
}

async function drain(messages: AsyncIterator<unknown>): Promise<void> {
  while (!(await messages.next()).done);
}
