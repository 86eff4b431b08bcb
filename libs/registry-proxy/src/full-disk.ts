import { NoSpaceError, type Origin, type OriginRequest, type TaskStream } from '@d7y/peer-engine';

/**
 * Delivers a task's bytes, also when the disk fills up meanwhile: what the task cannot store any more comes from the origin, past the
 * store. The bytes before and after are of the same content, as the range asked for begins where the task broke off.
 * @param onFull told once, before the origin is asked
 * @throws what the task threw, for any other reason; what the origin throws
 */
export async function deliverPastFullDisk(
  stream: Pick<TaskStream, 'deliver' | 'range' | 'contentLength'>,
  origin: Origin,
  request: OriginRequest,
  { signal, onFull }: { signal: AbortSignal; onFull: () => void },
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  let deliveredBytes = 0;
  try {
    await stream.deliver(async (bytes) => {
      await write(bytes);
      deliveredBytes += bytes.byteLength;
    });
  } catch (error) {
    const length = stream.range?.length ?? stream.contentLength;
    if (!(error instanceof NoSpaceError) || length === undefined || deliveredBytes >= length) throw error;
    onFull();
    const rest = { start: (stream.range?.start ?? 0) + deliveredBytes, length: length - deliveredBytes };
    const { chunks } = await origin.fetch(request, rest, { signal });
    for await (const chunk of chunks) await write(chunk);
  }
}
