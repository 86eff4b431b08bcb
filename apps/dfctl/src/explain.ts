import { askSocket } from '@d7y/cli-kit';
import { z } from 'zod';
import { ExplainError } from './errors.ts';

const TIMEOUT_MS = 10_000;
const text = z.string();
const count = z.number().nonnegative();

const parent = z.looseObject({
  hostId: text,
  address: text,
  isSeed: z.boolean(),
  idc: text.optional(),
  location: text.optional(),
  state: z.enum(['asked', 'passedOver', 'dropped']),
  why: text.optional(),
  announcedPieces: count,
  receivedPieces: count,
  receivedBytes: count,
  failedPieces: count,
});

/** What a daemon of ours says of a URL; further fields are passed on as they come. */
const explanation = z.looseObject({
  url: text,
  route: z.looseObject({
    /** `task`: through the swarm; `manifest`: through the manifest cache; `direct`: straight from the upstream. */
    kind: text,
    why: text,
    upstream: text,
    /** Number of the rule in the configuration, from 0, and its expression. */
    rule: z.looseObject({ index: count, regex: text }).optional(),
  }),
  task: z
    .looseObject({
      id: text,
      /** Undefined where nothing of it is on this host. */
      held: z
        .looseObject({
          contentLength: count,
          pieceLength: count,
          pieceCount: count,
          finishedPieces: count,
          isComplete: z.boolean(),
          isPrivate: z.boolean(),
          bytes: z.looseObject({
            fromSource: count,
            fromPeers: count,
            byPeer: z.array(z.looseObject({ peerId: text, pieces: count, bytes: count })),
          }),
        })
        .optional(),
    })
    .optional(),
  /** The last download of it, running or over, since the daemon started. */
  download: z
    .looseObject({
      startedAtMs: count,
      endedAtMs: count.optional(),
      outcome: text,
      originBytes: count,
      parents: z.array(parent),
      events: z.array(z.looseObject({ atMs: z.number(), what: text })),
    })
    .optional(),
  /** In the order in which they are asked about the task. */
  schedulers: z.array(z.looseObject({ address: text, reachable: z.boolean() })),
  seeds: z.array(text),
});

export type Explanation = z.output<typeof explanation>;

/**
 * Asks the daemon what it does, or did, with a URL. Nothing is downloaded.
 * @throws {ExplainError} or the reason of the signal
 */
export async function explain(
  endpoint: string,
  url: string,
  { signal }: { signal: AbortSignal },
): Promise<Explanation> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const answer = await askSocket(endpoint, { path: '/explain', body: { url } }, { signal: either }).catch(
    (cause: unknown) => {
      signal.throwIfAborted();
      throw new ExplainError(`the dfdaemon at ${endpoint} does not answer`, { remedy: 'look at its log', cause });
    },
  );
  if (answer === undefined || answer.status === 404) {
    throw new ExplainError(`the dfdaemon at ${endpoint} explains nothing: it is a stock one, or an older one`);
  }
  if (answer.status !== 200) throw new ExplainError(answer.text.trim() || `HTTP status ${answer.status}`);
  let json: unknown;
  try {
    json = JSON.parse(answer.text);
  } catch (cause) {
    throw new ExplainError(`what the dfdaemon at ${endpoint} says is not JSON`, { cause });
  }
  const read = explanation.safeParse(json);
  if (read.success) return read.data;
  throw new ExplainError(`what the dfdaemon says is not understood: ${z.prettifyError(read.error)}`, {
    remedy: 'use the dfctl of the same version as the dfdaemon',
  });
}
