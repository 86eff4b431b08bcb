import type { Announcement, Instruction, PeerRegistration } from '@d7y/peer-protocol';
import type { TaskLayout } from '@d7y/piece';
import { createLayout } from '@d7y/piece';
import type { EngineComponents, EngineOptions } from './engine-options.ts';
import { TaskUnavailableError } from './errors.ts';
import type { OriginProbe, OriginRequest } from './ports/origin.ts';
import { OriginStatusError, OriginUnreachableError } from './ports/origin.ts';
import type { SchedulerConnection } from './ports/schedulers.ts';
import type { TaskRequest } from './task-request.ts';
import { pieceLengthOfRequest } from './task-request.ts';

/** A registration that was made before the download began. */
export interface OpenedConversation {
  readonly scheduler: SchedulerConnection;
  readonly announcement: Announcement;
  /** What it brought, if that was waited for. */
  readonly instruction: Instruction | undefined;
}

/** What must be known of a task before its first piece can be fetched. */
export type Resolution =
  | {
      readonly kind: 'known';
      readonly layout: TaskLayout;
      readonly responseHeaders: Readonly<Record<string, string>>;
      /** A conversation that told the length, to be gone on with. */
      readonly opened: OpenedConversation | undefined;
    }
  | { readonly kind: 'unknownLength'; readonly probe: OriginProbe };

/** Whether the origin is down, as opposed to refusing this caller or this content. */
function isOriginDown(error: unknown): boolean {
  return (
    error instanceof OriginUnreachableError ||
    (error instanceof OriginStatusError && (error.status === 429 || error.status >= 500))
  );
}

/**
 * Learns the length of a task: from its origin, which thereby accepts the caller; from the swarm while the origin is
 * down, but only what is known there as public, or what the caller may have anyway.
 * @param register makes the registration of this download, given what is known of the length
 * @throws what the origin threw, when the swarm cannot tell either
 */
export async function resolveTask(
  request: TaskRequest,
  originRequest: OriginRequest,
  register: (layout: TaskLayout | undefined) => PeerRegistration,
  { origin, schedulers, seeds, parents, host }: EngineComponents,
  { timeouts }: EngineOptions,
  { signal }: { signal: AbortSignal },
): Promise<Resolution> {
  if (request.disableBackToSource) {
    const found = (await askScheduler()) ?? (await askSeed());
    if (found !== undefined) return found;
    throw new TaskUnavailableError(register(undefined).taskId, 'no peer has it, and the origin may not be asked');
  }
  let probe: OriginProbe;
  try {
    probe = await origin.probe(originRequest, { signal });
  } catch (error) {
    const isPrivate = Object.keys(originRequest.credentials).length > 0;
    if (!isOriginDown(error) || isPrivate || host.isSeed) throw error;
    const found = (await askScheduler()) ?? (await askSeed());
    if (found === undefined) throw error;
    return found;
  }
  if (probe.contentLength === undefined) return { kind: 'unknownLength', probe };
  const layout = createLayout(probe.contentLength, pieceLengthOfRequest(request));
  const responseHeaders = { ...probe.headers, 'accept-ranges': probe.acceptsRanges ? 'bytes' : 'none' };
  return { kind: 'known', layout, responseHeaders, opened: undefined };

  async function askScheduler(): Promise<Resolution | undefined> {
    const registration = register(undefined);
    const [scheduler] = schedulers.candidates(registration.taskId);
    if (scheduler === undefined) return undefined;
    // Not the task's own signal: a peer that gives up still has a last word to say.
    const announcement = scheduler.announcePeer(registration, { signal: new AbortController().signal });
    const timer = setTimeout(() => announcement.abort(), timeouts.instructionMs);
    try {
      const first = await announcement.instructions[Symbol.asyncIterator]().next();
      if (first.done) return undefined;
      const instruction = first.value;
      const offered = instruction.kind === 'parents' ? instruction.parents : [];
      const contentLength = offered.find((parent) => parent.contentLength !== undefined)?.contentLength;
      // Somebody needed credentials for it: without the origin nobody can say whether our caller may have it, unless that is known.
      const mayHave = request.isAccepted === true || !offered.some((parent) => parent.isPrivate);
      if (contentLength === undefined || !mayHave) {
        void announcement.failed('the origin cannot be reached');
        return undefined;
      }
      const layout = createLayout(contentLength, pieceLengthOfRequest(request));
      return {
        kind: 'known',
        layout,
        responseHeaders: {},
        opened: { scheduler, announcement, instruction },
      };
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  async function askSeed(): Promise<Resolution | undefined> {
    const registration = { ...register(undefined), needBackToSource: true };
    for (const seed of seeds.ordered(registration.taskId).slice(0, 2)) {
      try {
        const either = AbortSignal.any([signal, AbortSignal.timeout(timeouts.seedMs)]);
        const { contentLength } = await parents.triggerSeed(seed, registration, { signal: either });
        const layout = createLayout(contentLength, pieceLengthOfRequest(request));
        return { kind: 'known', layout, responseHeaders: {}, opened: undefined };
      } catch {
        signal.throwIfAborted();
      }
    }
    return undefined;
  }
}
